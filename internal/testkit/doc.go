// SPDX-License-Identifier: Apache-2.0

// Package testkit is what the tests of every program here stand on: certificates,
// ports, volumes as Kubernetes writes them, broken networks, started programs and
// recording peers. It is imported by tests only.
//
// Everything takes a testing.TB, fails the test by itself with a sentence, and
// cleans up after itself when the test ends, so that a test reads as the claim it
// makes:
//
//	func TestServesHTTPSInFrontOfAnApp(t *testing.T) {
//		ca := testkit.NewCA(t)
//		dir := testkit.NewVolume(t, ca.Issue("localhost").Files("tls"))
//		app := testkit.NewRawBackend(t)
//
//		p := testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
//			"--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
//			"--target=" + app.Addr(), "--cert-dir=" + dir.Path(),
//		}, nil)
//		p.WaitReady()
//
//		c := testkit.DialRawTLS(t, p.WaitAddr("https"), ca.ClientConfig("localhost"))
//		c.Send("GET /a%2Fb HTTP/1.1\r\nHost: localhost\r\n\r\n")
//		if got := c.ReadResponse("GET").Status(); got != 200 {
//			t.Errorf("status = %d, want 200", got)
//		}
//		if got := app.WaitRequest(1).Target(); got != "/a%2Fb" {
//			t.Errorf("the app saw %q, want the path as it came", got)
//		}
//	}
//
// No test sleeps and hopes: [Eventually] polls with a deadline, and everything
// that waits here does so through it.
package testkit
