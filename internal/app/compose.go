// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"strings"
)

// The parts of a compose file that a manifest prints (compose-spec).
type (
	composeFile struct {
		Services map[string]composeService `yaml:"services"`
		Volumes  map[string]struct{}       `yaml:"volumes,omitempty"`
	}
	composeService struct {
		Image       string             `yaml:"image"`
		NetworkMode string             `yaml:"network_mode"`
		Command     []string           `yaml:"command,omitempty"`
		Environment map[string]*string `yaml:"environment,omitempty"`
		Volumes     []string           `yaml:"volumes,omitempty"`
		User        string             `yaml:"user"`
		ReadOnly    bool               `yaml:"read_only"`
		CapDrop     []string           `yaml:"cap_drop,flow"`
		SecurityOpt []string           `yaml:"security_opt,flow"`
		MemLimit    string             `yaml:"mem_limit"`
		Healthcheck composeHealth      `yaml:"healthcheck"`
		StopGrace   string             `yaml:"stop_grace_period"`
		Restart     string             `yaml:"restart"`
	}
	composeHealth struct {
		Test     []string `yaml:"test,flow"`
		Interval string   `yaml:"interval"`
		Timeout  string   `yaml:"timeout"`
		Retries  int      `yaml:"retries"`
	}
)

// compose is a service in the network namespace of the service "app".
func (m *manifest) compose() composeFile {
	s := composeService{
		Image:       m.image,
		NetworkMode: "service:app",
		User:        fmt.Sprintf("%d:%d", m.container.User, m.container.User),
		ReadOnly:    true,
		CapDrop:     []string{"ALL"},
		SecurityOpt: []string{"no-new-privileges:true"},
		MemLimit:    strings.ToLower(strings.TrimSuffix(m.container.Resources.MemoryLimit, "i")),
		Healthcheck: composeHealth{
			Test:     append([]string{"CMD"}, m.probeCommand("ready")...),
			Interval: "10s", Timeout: "3s", Retries: 3,
		},
		StopGrace: "30s",
		Restart:   "unless-stopped",
	}
	for _, arg := range m.args {
		s.Command = append(s.Command, escapeDollar(arg))
	}
	for _, v := range m.env {
		if s.Environment == nil {
			s.Environment = map[string]*string{}
		}
		if s.Environment[v.name] = nil; !v.secret { // null: taken from compose's own environment
			s.Environment[v.name] = new(escapeDollar(v.value))
		}
	}
	file := composeFile{}
	for _, mount := range m.container.Mounts {
		kind, name := mount.source()
		source, mode := "./"+name, ""
		if kind != "secret" && kind != "configMap" {
			source = mount.Name
			if file.Volumes == nil {
				file.Volumes = map[string]struct{}{}
			}
			file.Volumes[mount.Name] = struct{}{}
		}
		if mount.ReadOnly {
			mode = ":ro"
		}
		s.Volumes = append(s.Volumes, source+":"+mount.Path+mode)
	}
	file.Services = map[string]composeService{m.name: s}
	return file
}

// escapeDollar keeps compose from expanding variables in a value.
func escapeDollar(text string) string { return strings.ReplaceAll(text, "$", "$$") }
