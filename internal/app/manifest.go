// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"net"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/outrigger/outrigger/internal/address"
)

type manifestArgs struct {
	For   string `arg:"" optional:"" enum:"native,legacy,podman,compose" default:"native" help:"A native sidecar (Kubernetes 1.29 or later), a plain container beside the application's, or what podman or compose understand."`
	Image string `placeholder:"IMAGE" help:"The image. Default: this version's own."`
}

// manifest is what all kinds of manifest are printed from.
type manifest struct {
	name      string
	image     string
	container Container
	env       []envVar
	args      []string
	adminPort int    // 0 if the admin port is no TCP port
	adminName string // the port's name
	http      bool   // the kubelet reaches the admin port: HTTP probes, else exec probes
	exec      []string
	file      string // the YAML file that settings come from, or ""
}

// envVar is a variable of the container. A secret's value is not known here: it
// comes from a Kubernetes Secret that the user makes.
type envVar struct {
	name, value string
	secret      bool
	key         string // of the Kubernetes Secret
}

// printManifest prints the container for the settings given.
func printManifest(env *CommandEnv, args manifestArgs) int {
	m := newManifest(env.Parsed, args.Image)
	var doc any
	var comment string
	switch args.For {
	case "compose":
		doc, comment = m.compose(), "beside the application, which it calls \"app\", in compose.yaml: a published port belongs to \"app\" as well"
	case "podman":
		doc, comment = m.podman(), "under \"spec:\" of a pod for podman kube play (before podman 4.4 without its probe)"
	case "legacy":
		doc, comment = m.legacy(), "under \"spec:\" of the pod, its container beside those of \"containers:\""
	default:
		doc, comment = m.native(), "under \"spec:\" of the pod (Kubernetes 1.29 or later), beside its \"containers:\""
	}
	fmt.Fprintf(env.Stdout, "# %s: paste this %s.\n", m.name, comment)
	m.noteSecrets(env, args.For)
	if m.file != "" {
		fmt.Fprintf(env.Stdout, "# %s is not looked at: where it sets addresses or certificates, ports and mounts below are yours to mend.\n", m.file)
	}
	e := yaml.NewEncoder(env.Stdout)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		fmt.Fprintf(env.Stderr, "%s: cannot print the manifest: %s\n", m.name, err)
		return exitError
	}
	return exitOK
}

// noteSecrets says where the secrets of the manifest come from.
func (m *manifest) noteSecrets(env *CommandEnv, kind string) {
	for _, v := range m.env {
		if !v.secret {
			continue
		}
		if kind == "compose" {
			fmt.Fprintf(env.Stdout, "# %s is taken from the environment of compose.\n", v.name)
		} else {
			fmt.Fprintf(env.Stdout, "# %s comes from the Secret %s, key %s.\n", v.name, m.secretName(), v.key)
		}
	}
}

// newManifest collects what the settings mean for a container.
func newManifest(p *Parsed, image string) *manifest {
	m := &manifest{name: p.Spec.Name, image: image, adminName: p.Spec.AdminPortName}
	if m.image == "" {
		m.image = defaultImage(p.Spec.Name, Version())
	}
	if p.Spec.Manifest != nil {
		m.container = p.Spec.Manifest()
	}
	m.container = m.container.defaults()
	m.exec = []string{"/" + m.name, healthcheckCommand}
	for _, s := range p.parser.order {
		if s.env != "" {
			m.addSetting(s)
		}
	}
	m.setAdmin(p.Common.AdminListen)
	if p.IsSet("config") && p.Common.Config != "" {
		m.file = p.Common.Config
		m.mountConfig(path.Dir(m.file))
	}
	return m
}

// mountConfig adds the volume of the YAML file, unless a volume is there already.
func (m *manifest) mountConfig(dir string) {
	for _, mount := range m.container.Mounts {
		if mount.Path == dir {
			return
		}
	}
	name := m.name + "-config"
	m.container.Mounts = append(m.container.Mounts, Mount{Name: name, Path: dir, Volume: "configMap:" + name, ReadOnly: true})
}

// addSetting gives the container a setting the way it was given here. One from
// the YAML file stays there.
func (m *manifest) addSetting(s *setting) {
	switch s.kind {
	case fromEnv:
		value := strings.Join(s.raw, "\n")
		m.env = append(m.env, envVar{
			name: s.env, value: value, key: s.name,
			secret: s.secret || hasURLSecret(value),
		})
	case fromArgs:
		for _, v := range s.raw {
			arg := "--" + s.name + "=" + v
			m.args = append(m.args, arg)
			// An exec probe has the container's environment but not its arguments.
			if s.name == "admin-listen" || s.name == "control" {
				m.exec = append(m.exec, arg)
			}
		}
	}
}

// setAdmin says how probes reach the admin port.
func (m *manifest) setAdmin(l address.Listen) {
	host, port, err := net.SplitHostPort(l.Address)
	if l.Network == "unix" || err != nil {
		return
	}
	m.adminPort, _ = strconv.Atoi(port)
	m.http = !l.Loopback() && host != "localhost"
}

// probeCommand is an exec probe's command.
func (m *manifest) probeCommand(probe string) []string {
	return append([]string{m.exec[0], m.exec[1], probe}, m.exec[2:]...)
}

// secretName is the Kubernetes Secret that holds the program's secret settings.
func (m *manifest) secretName() string { return m.name + "-secrets" }

// ports are the program's ports and the admin port.
func (m *manifest) ports() []Port {
	ports := m.container.Ports
	if m.adminPort > 0 {
		ports = append(ports[:len(ports):len(ports)], Port{Name: m.adminName, Port: m.adminPort})
	}
	return ports
}

// defaultImage is the image of a release, else what `make images` builds.
func defaultImage(program, version string) string {
	if regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(version) {
		return "outrigger/" + program + ":" + version
	}
	return "localhost/outrigger/" + program + ":dev"
}
