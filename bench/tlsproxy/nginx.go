// SPDX-License-Identifier: Apache-2.0

package tlsproxy

import (
	"fmt"
	"os"

	"github.com/outrigger/outrigger/bench/harness"
)

const nginxConfig = `%s
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  log_format json escape=json '{"time":"$time_iso8601","method":"$request_method","path":"$uri","host":"$host","status":$status,'
    '"bytes":$body_bytes_sent,"duration":$request_time,"upstream":"$upstream_response_time","client":"$remote_addr:$remote_port",'
    '"tls":"$ssl_protocol","curve":"$ssl_curves","protocol":"$server_protocol","sni":"$ssl_server_name","resumed":"$ssl_session_reused",'
    '"request_id":"$request_id"}';
  access_log %s;
  server_tokens off;
  keepalive_requests 1000000000;
  client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
  upstream app { server %s; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen %s ssl http2 backlog=4096;
    ssl_certificate %s;
    ssl_certificate_key %s;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_ecdh_curve X25519:prime256v1;
    ssl_session_cache off;
    ssl_session_tickets off;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_buffers 8 32k;
      proxy_max_temp_file_size 0;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Request-Id $request_id;
    }
  }
}
`

func (s *setup) nginx() harness.Peer {
	peer := s.peer("nginx", func(o options) (harness.Command, error) {
		log := "off"
		if o.logs {
			log = accessLog + " json buffer=64k flush=100ms"
		}
		config := fmt.Sprintf(nginxConfig, nginxUser(), log, s.backend, o.addr, s.cert.cert, s.cert.key)
		return harness.Command{Args: nginxArgs(o.dir)}, write(o.dir, "nginx.conf", config)
	})
	peer.Prepare, peer.Version = installed("nginx"), saidBy("nginx", "-v")
	return peer
}

// nginxArgs start nginx on nginx.conf in dir, with all its files there.
func nginxArgs(dir string) []string {
	return []string{"nginx", "-p", dir, "-c", "nginx.conf", "-e", "stderr"}
}

// nginxUser keeps the workers of an nginx that root starts able to read the scratch directory.
func nginxUser() string {
	if os.Geteuid() == 0 {
		return "user root;"
	}
	return ""
}
