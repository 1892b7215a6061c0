// SPDX-License-Identifier: Apache-2.0

package tlsproxy

import (
	"fmt"
	"strings"

	"github.com/outrigger/outrigger/bench/harness"
)

const haproxyConfig = `global
  nbthread 1
  maxconn 4000
  tune.ssl.cachesize 0
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
%s
frontend https
  bind %s backlog 4096 ssl crt %s curves X25519:P-256 alpn h2,http/1.1
  unique-id-format %%[uuid()]
  http-request set-header X-Forwarded-For %%[src]
  http-request set-header X-Forwarded-Proto https
  http-request set-header X-Forwarded-Host %%[req.hdr(host)]
  http-request set-header X-Forwarded-Port %%[dst_port]
  unique-id-header X-Request-Id
  default_backend app
backend app
  server app %s
`

// haproxyLog writes the fields that the others have, a line for each request: HAProxy has no buffer for its log.
const haproxyLog = `  log stdout format raw local0
  log-format '{"time":"%T","method":"%HM","path":"%HP","host":"%[var(txn.host)]","status":%ST,"bytes":%B,"duration":%Ta,"upstream":%Tr,"client":"%ci:%cp","tls":"%sslv","cipher":"%sslc","protocol":"%HV","sni":"%[ssl_fc_sni]","resumed":"%[ssl_fc_is_resumed]","request_id":"%ID","end":"%tsc"}'`

func (s *setup) haproxy() harness.Peer {
	peer := s.peer("haproxy", func(o options) (harness.Command, error) {
		log := ""
		if o.logs {
			log = haproxyLog
		}
		config := fmt.Sprintf(haproxyConfig, log, o.addr, s.cert.both, s.backend)
		if o.logs {
			config = strings.Replace(config, "  default_backend", "  http-request set-var(txn.host) req.hdr(host)\n  default_backend", 1)
		}
		return harness.Command{Args: []string{"haproxy", "-db", "-f", "haproxy.cfg"}, Stdout: o.logs}, write(o.dir, "haproxy.cfg", config)
	})
	peer.Prepare, peer.Version = installed("haproxy"), saidBy("haproxy", "-v")
	return peer
}
