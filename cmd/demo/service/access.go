package service

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Option is a setting of a [Service].
type Option func(*Service)

// WithHosts has the service answer requests to known hosts alone: loopback names, the address that
// a request came in on, and names. Without it the service answers whatever the Host header says, so
// that a page of another site can reach it by a name that it points here (DNS rebinding).
func WithHosts(names ...string) Option {
	return func(s *Service) {
		s.hosts = map[string]bool{}
		for _, name := range names {
			s.hosts[hostname(name)] = true
		}
	}
}

// WithKeys has the service ask for one of the keys, see [Keys]. Without it, or with none, everybody
// may do everything.
func WithKeys(keys *Keys) Option {
	return func(s *Service) { s.keys = keys }
}

// WithMetrics has the service serve metrics at /metrics, to who may read.
func WithMetrics(metrics http.Handler) Option {
	return func(s *Service) { s.metrics = metrics }
}

// knownHosts refuses a request for a host that the service does not go by.
func (s *Service) knownHosts(next http.Handler) http.Handler {
	if s.hosts == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostname(r.Host); !s.hosts[host] && !isLoopback(host) && !cameInOn(r.Context(), host) {
			w.Header().Set("Connection", "close") // nobody who guesses names holds one
			refuse(w, r, &Problem{Type: problemType("unknown-host"), Title: "The service does not go by this name", Status: http.StatusMisdirectedRequest,
				Detail: "The Host header names a host that this service does not know. If it is right, start the service with it: -host NAME, or BANK_HOSTS=NAME. A loopback name always works on the same machine."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname is a host without its port, in the form in which hosts are compared.
func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// cameInOn reports whether a request came in on that address: probes of a cluster ask for a pod by
// it. An address in place of a name can't be rebound.
func cameInOn(ctx context.Context, host string) bool {
	local, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return ok && host != "" && hostname(local.String()) == host
}
