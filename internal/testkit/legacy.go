// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// LegacyServer is a real web server that plays the legacy application: plain HTTP on
// 127.0.0.1, started in the foreground for one test from a configuration of its own.
type LegacyServer struct {
	*Process
	// Port and Addr are where it listens on 127.0.0.1.
	Port int
	Addr string
	// Root is the directory it serves, with hello.txt ("hello from nginx\n").
	Root string
	// AccessLog and ErrorLog are its log files.
	AccessLog, ErrorLog string

	dir string
}

// StartNginx starts Debian's nginx as a legacy application. The directives, if any,
// go into its server block; without them it serves Root.
//
//	app := testkit.StartNginx(t, "location /old { return 302 http://$host:$server_port/new; }")
func StartNginx(t testing.TB, directives string) *LegacyServer {
	t.Helper()
	path := Tool(t, "nginx", "nginx-light")
	s := newLegacyServer(t, "nginx")
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // its workers read and write this test's own directory
	}
	conf := s.write("nginx.conf", fmt.Sprintf(`daemon off;
worker_processes 1;
%[1]s
pid %[2]s/nginx.pid;
error_log %[3]s info;
events { worker_connections 512; }
http {
	access_log %[4]s;
	types { text/plain txt; text/html html; application/json json; }
	default_type application/octet-stream;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	server {
		listen %[5]s;
		server_name localhost;
		root %[6]s;
		%[7]s
	}
}
`, user, s.dir, s.ErrorLog, s.AccessLog, s.Addr, s.Root, directives))
	s.start(t, Command{Path: path, Args: []string{"-e", "stderr", "-p", s.dir, "-c", conf}})
	return s
}

// StartApache starts Debian's apache2 as a legacy application, with the event MPM and
// the modules that its usual configuration has. The directives, if any, go behind the
// ones that serve Root; they may load more modules from $MODULES.
//
//	app := testkit.StartApache(t, "Redirect 302 /old http://localhost/new")
func StartApache(t testing.TB, directives string) *LegacyServer {
	t.Helper()
	path := Tool(t, "apache2", "apache2")
	s := newLegacyServer(t, "apache2")
	user := ""
	if os.Getuid() == 0 {
		user = "User www-data\nGroup www-data" // apache2 refuses to serve as root
	}
	conf := s.write("apache2.conf", fmt.Sprintf(`Define MODULES /usr/lib/apache2/modules
LoadModule mpm_event_module ${MODULES}/mod_mpm_event.so
LoadModule authz_core_module ${MODULES}/mod_authz_core.so
LoadModule alias_module ${MODULES}/mod_alias.so
LoadModule dir_module ${MODULES}/mod_dir.so
LoadModule headers_module ${MODULES}/mod_headers.so
LoadModule mime_module ${MODULES}/mod_mime.so
LoadModule rewrite_module ${MODULES}/mod_rewrite.so
LoadModule setenvif_module ${MODULES}/mod_setenvif.so
%[1]s
ServerRoot %[2]s
DefaultRuntimeDir %[2]s
PidFile %[2]s/apache2.pid
ServerName localhost
Listen %[3]s
StartServers 1
TypesConfig /dev/null
AddType text/plain .txt
AddType text/html .html
ErrorLog %[4]s
LogFormat "%%h %%l %%u %%t \"%%r\" %%>s %%b" common
CustomLog %[5]s common
DocumentRoot %[6]s
<Directory %[6]s>
	Require all granted
</Directory>
%[7]s
`, user, s.dir, s.Addr, s.ErrorLog, s.AccessLog, s.Root, directives))
	s.start(t, Command{Path: path, Args: []string{"-DFOREGROUND", "-d", s.dir, "-f", conf}})
	return s
}

// newLegacyServer prepares the directory and the port.
func newLegacyServer(t testing.TB, name string) *LegacyServer {
	t.Helper()
	dir := ShortDir(t) // open to the user that the server's workers run as
	s := &LegacyServer{
		Process: &Process{t: t, name: name},
		Port:    FreePort(t), Root: filepath.Join(dir, "www"), dir: dir,
		AccessLog: filepath.Join(dir, "access.log"), ErrorLog: filepath.Join(dir, "error.log"),
	}
	s.Addr = fmt.Sprintf("127.0.0.1:%d", s.Port)
	if err := os.Mkdir(s.Root, 0o755); err != nil {
		t.Fatalf("cannot make the directory that %s serves: %v", name, err)
	}
	s.write("www/hello.txt", "hello from "+name+"\n")
	return s
}

// write puts a file into the server's directory and returns its path.
func (s *LegacyServer) write(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		s.t.Fatalf("cannot write %s: %v", path, err)
	}
	return path
}

// start runs the server until it answers.
func (s *LegacyServer) start(t testing.TB, c Command) {
	t.Helper()
	t.Cleanup(func() { // after the process has ended, before its directory goes
		if t.Failed() {
			log, _ := os.ReadFile(s.ErrorLog)
			t.Logf("%s error log:\n%s", s.name, log)
		}
	})
	s.Process = StartCommand(t, c)
	s.wait("to answer", func() error {
		_, err := Get("http://" + s.Addr + "/hello.txt")
		return err
	})
}

// Reload makes the server read its configuration again and waits until it has: a
// signal that comes while apache2 restarts would be lost.
func (s *LegacyServer) Reload() {
	s.t.Helper()
	sig, sign := syscall.SIGHUP, "start worker process "
	if s.name == "apache2" {
		sig, sign = syscall.SIGUSR1, "resuming normal operations" // its graceful restart
	}
	count := func() int {
		log, err := os.ReadFile(s.ErrorLog)
		if err != nil {
			s.t.Fatalf("cannot read the log of %s: %v", s.name, err)
		}
		return strings.Count(string(log), sign)
	}
	before := count()
	s.Signal(sig)
	s.wait("to have reloaded", func() error {
		if count() == before {
			return fmt.Errorf("%q is not in its log again", sign)
		}
		return nil
	})
}
