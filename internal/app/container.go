// SPDX-License-Identifier: Apache-2.0

package app

import "cmp"

// Container is what a program's manifest needs beyond what all programs share.
type Container struct {
	// Ports are the ports that others connect to; the admin port is added.
	Ports []Port
	// Mounts are the volumes the program works on.
	Mounts []Mount
	// Resources replace the defaults where they are not empty.
	Resources Resources
	// PreStop is the command of a preStop hook, such as {"drain"}: a sub-command
	// of the program with its arguments. Empty means none.
	PreStop []string
	// User replaces 65532, for a program that has to share the application's user.
	User int64
}

// Port is a container port. Its name has at most 15 characters.
type Port struct {
	Name string
	Port int
}

// Mount is a volume and where it is mounted.
type Mount struct {
	Name string // "tls"
	Path string // "/tls"
	// Volume says what the volume is: "secret:NAME", "configMap:NAME" or
	// "emptyDir". Where NAME is missing, the mount's name stands for it.
	Volume   string
	ReadOnly bool
}

// Resources are in Kubernetes' notation. An empty field means the default.
type Resources struct {
	CPU         string // request, "10m"
	Memory      string // request, "24Mi"
	MemoryLimit string // "64Mi"
}

// defaults fills in what a program leaves open.
func (c Container) defaults() Container {
	c.Resources.CPU = cmp.Or(c.Resources.CPU, "10m")
	c.Resources.Memory = cmp.Or(c.Resources.Memory, "24Mi")
	c.Resources.MemoryLimit = cmp.Or(c.Resources.MemoryLimit, "64Mi")
	if c.User == 0 {
		c.User = 65532
	}
	return c
}
