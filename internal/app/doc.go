// SPDX-License-Identifier: Apache-2.0

// Package app is the chassis of every program: it parses the settings, sets up
// the log, the admin port and the metrics, runs the program's actors and turns
// the outcome into an exit code. A program describes itself with one value and
// its main is one line:
//
//	func main() { app.Main(spec()) }
//
//	func spec() app.Spec {
//		c := new(Config)
//		return app.Spec{
//			Name:      "tls-proxy",
//			Doc:       "HTTPS in front of an application that listens on loopback",
//			AdminPort: 9911, AdminPortName: "tls-admin",
//			Config: c,
//			Setup: func(env *app.Env) error {
//				ln, err := env.Listen("https", c.Listen)
//				if err != nil {
//					return err
//				}
//				p := newProxy(c, env.Log, env.Metrics)
//				env.Admin.Startup("certificate", p.Loaded)
//				env.Life.Add(p.Actor(ln))
//				return nil
//			},
//		}
//	}
//
// Config is a struct with kong tags (github.com/alecthomas/kong): name, help,
// default, group, placeholder, enum, required, xor, and, hidden, aliases. Every
// field is a flag, an environment variable and a key of the YAML file. Three
// tags are this package's own:
//
//	mount:"/tls"       the value when nothing sets the flag and that path exists
//	unless:"cert,key"  the mount is not taken when one of these flags is set
//	secret:""          the value is never printed (the type [Secret] implies it)
//
// The same [Spec] answers --help, --check-config, --print-config, the manifest
// sub-command, the tables in the README and the conformance test of
// internal/testkit/apptest, so that none of them can drift from the program.
package app
