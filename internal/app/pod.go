// SPDX-License-Identifier: Apache-2.0

package app

import "strings"

// The parts of a pod that a manifest prints, in the order and with the names of
// Kubernetes' API (core/v1).
type (
	podPart struct {
		InitContainers []kubeContainer `yaml:"initContainers,omitempty"`
		Containers     []kubeContainer `yaml:"containers,omitempty"`
		Volumes        []kubeVolume    `yaml:"volumes,omitempty"`
	}
	kubeContainer struct {
		Name            string          `yaml:"name"`
		Image           string          `yaml:"image"`
		RestartPolicy   string          `yaml:"restartPolicy,omitempty"`
		Args            []string        `yaml:"args,omitempty"`
		Env             []kubeEnv       `yaml:"env,omitempty"`
		Ports           []kubePort      `yaml:"ports,omitempty"`
		StartupProbe    *kubeProbe      `yaml:"startupProbe,omitempty"`
		LivenessProbe   *kubeProbe      `yaml:"livenessProbe,omitempty"`
		ReadinessProbe  *kubeProbe      `yaml:"readinessProbe,omitempty"`
		Lifecycle       *kubeLifecycle  `yaml:"lifecycle,omitempty"`
		Resources       kubeResources   `yaml:"resources"`
		SecurityContext securityContext `yaml:"securityContext"`
		VolumeMounts    []kubeMount     `yaml:"volumeMounts,omitempty"`
	}
	kubeEnv struct {
		Name      string         `yaml:"name"`
		Value     *string        `yaml:"value,omitempty"`
		ValueFrom *kubeValueFrom `yaml:"valueFrom,omitempty"`
	}
	kubeValueFrom struct {
		SecretKeyRef kubeSecretKey `yaml:"secretKeyRef"`
	}
	kubeSecretKey struct {
		Name string `yaml:"name"`
		Key  string `yaml:"key"`
	}
	kubePort struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
		HostPort      int    `yaml:"hostPort,omitempty"`
	}
	kubeProbe struct {
		HTTPGet          *kubeHTTPGet `yaml:"httpGet,omitempty"`
		Exec             *kubeExec    `yaml:"exec,omitempty"`
		PeriodSeconds    int          `yaml:"periodSeconds"`
		TimeoutSeconds   int          `yaml:"timeoutSeconds,omitempty"`
		FailureThreshold int          `yaml:"failureThreshold"`
	}
	kubeHTTPGet struct {
		Path string `yaml:"path"`
		Port string `yaml:"port"`
	}
	kubeExec struct {
		Command []string `yaml:"command,flow"`
	}
	kubeLifecycle struct {
		PreStop struct {
			Exec kubeExec `yaml:"exec"`
		} `yaml:"preStop"`
	}
	kubeResources struct {
		Requests map[string]string `yaml:"requests,flow"`
		Limits   map[string]string `yaml:"limits,flow"`
	}
	securityContext struct {
		RunAsNonRoot             bool                `yaml:"runAsNonRoot"`
		RunAsUser                int64               `yaml:"runAsUser"`
		RunAsGroup               int64               `yaml:"runAsGroup"`
		ReadOnlyRootFilesystem   bool                `yaml:"readOnlyRootFilesystem"`
		AllowPrivilegeEscalation bool                `yaml:"allowPrivilegeEscalation"`
		Capabilities             map[string][]string `yaml:"capabilities,flow"`
		SeccompProfile           map[string]string   `yaml:"seccompProfile,flow"`
	}
	kubeMount struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly,omitempty"`
	}
	kubeVolume struct {
		Name      string            `yaml:"name"`
		Secret    map[string]string `yaml:"secret,omitempty,flow"`
		ConfigMap map[string]string `yaml:"configMap,omitempty,flow"`
		EmptyDir  *struct{}         `yaml:"emptyDir,omitempty,flow"`
	}
)

// native is an init container that Kubernetes keeps running beside the others.
func (m *manifest) native() podPart {
	c := m.kubeContainer()
	c.RestartPolicy = "Always"
	return podPart{InitContainers: []kubeContainer{c}, Volumes: m.volumes()}
}

// legacy is a plain container.
func (m *manifest) legacy() podPart {
	return podPart{Containers: []kubeContainer{m.kubeContainer()}, Volumes: m.volumes()}
}

// podman is a plain container with the one probe that podman runs, and by exec:
// for the others it would need curl in the image. A pod of podman is reached from
// outside through ports of the host alone.
func (m *manifest) podman() podPart {
	m.http = false
	c := m.kubeContainer()
	c.StartupProbe, c.ReadinessProbe, c.Lifecycle = nil, nil, nil
	for i, p := range m.container.Ports {
		c.Ports[i].HostPort = p.Port
	}
	return podPart{Containers: []kubeContainer{c}, Volumes: m.volumes()}
}

// kubeContainer is the container that all kinds have in common.
func (m *manifest) kubeContainer() kubeContainer {
	c := kubeContainer{
		Name:           m.name,
		Image:          m.image,
		StartupProbe:   m.probe("startup", 1, 60),
		LivenessProbe:  m.probe("live", 10, 3),
		ReadinessProbe: m.probe("ready", 5, 2),
		Resources: kubeResources{
			Requests: map[string]string{"cpu": m.container.Resources.CPU, "memory": m.container.Resources.Memory},
			Limits:   map[string]string{"memory": m.container.Resources.MemoryLimit},
		},
		SecurityContext: securityContext{
			RunAsNonRoot: true, RunAsUser: m.container.User, RunAsGroup: m.container.User,
			ReadOnlyRootFilesystem: true,
			Capabilities:           map[string][]string{"drop": {"ALL"}},
			SeccompProfile:         map[string]string{"type": "RuntimeDefault"},
		},
	}
	for _, arg := range m.args {
		c.Args = append(c.Args, noExpansion(arg))
	}
	for _, v := range m.env {
		c.Env = append(c.Env, m.kubeEnv(v))
	}
	for _, p := range m.ports() {
		c.Ports = append(c.Ports, kubePort{Name: p.Name, ContainerPort: p.Port})
	}
	for _, v := range m.container.Mounts {
		c.VolumeMounts = append(c.VolumeMounts, kubeMount{Name: v.Name, MountPath: v.Path, ReadOnly: v.ReadOnly})
	}
	if len(m.container.PreStop) > 0 {
		c.Lifecycle = &kubeLifecycle{}
		c.Lifecycle.PreStop.Exec.Command = append([]string{"/" + m.name}, m.container.PreStop...)
		c.Lifecycle.PreStop.Exec.Command = append(c.Lifecycle.PreStop.Exec.Command, m.exec[2:]...)
	}
	return c
}

func (m *manifest) kubeEnv(v envVar) kubeEnv {
	if v.secret {
		return kubeEnv{Name: v.name, ValueFrom: &kubeValueFrom{SecretKeyRef: kubeSecretKey{Name: m.secretName(), Key: v.key}}}
	}
	return kubeEnv{Name: v.name, Value: new(noExpansion(v.value))}
}

// probe asks the admin port. A startup probe waits for the program itself, never
// for the application: that one starts after it.
func (m *manifest) probe(name string, period, failures int) *kubeProbe {
	p := &kubeProbe{PeriodSeconds: period, FailureThreshold: failures}
	if m.http {
		path := map[string]string{"startup": "/startupz", "live": "/livez", "ready": "/readyz"}[name]
		p.HTTPGet = &kubeHTTPGet{Path: path, Port: m.adminName}
		return p
	}
	p.Exec = &kubeExec{Command: m.probeCommand(name)}
	p.TimeoutSeconds = 3
	return p
}

func (m *manifest) volumes() []kubeVolume {
	var out []kubeVolume
	for _, mount := range m.container.Mounts {
		kind, name := mount.source()
		v := kubeVolume{Name: mount.Name}
		switch kind {
		case "secret":
			v.Secret = map[string]string{"secretName": name}
		case "configMap":
			v.ConfigMap = map[string]string{"name": name}
		default:
			v.EmptyDir = &struct{}{}
		}
		out = append(out, v)
	}
	return out
}

// source splits Mount.Volume.
func (m Mount) source() (kind, name string) {
	kind, name, _ = strings.Cut(m.Volume, ":")
	if name == "" {
		name = m.Name
	}
	return kind, name
}

// noExpansion keeps Kubernetes from expanding $(NAME) in a value or argument.
func noExpansion(text string) string {
	return strings.ReplaceAll(text, "$(", "$$(")
}
