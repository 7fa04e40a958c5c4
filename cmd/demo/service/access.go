package service

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Option configures a [Service].
type Option func(*Service)

// WithHosts limits the service to requests for known hosts: loopback names, the address that a
// request came in on, and names. Without it the service accepts any Host header. A page of another
// site could then reach it under a name that points here (DNS rebinding).
func WithHosts(names ...string) Option {
	return func(s *Service) {
		s.hosts = map[string]bool{}
		for _, name := range names {
			s.hosts[hostname(name)] = true
		}
	}
}

// WithKeys makes the service ask for one of the keys, see [Keys]. Without it, or without any key,
// everyone may do everything.
func WithKeys(keys *Keys) Option {
	return func(s *Service) { s.keys = keys }
}

// WithMetrics makes the service serve metrics at /metrics to holders of the role Read.
func WithMetrics(metrics http.Handler) Option {
	return func(s *Service) { s.metrics = metrics }
}

// knownHosts refuses requests for hosts that the service does not know.
func (s *Service) knownHosts(next http.Handler) http.Handler {
	if s.hosts == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostname(r.Host); !s.hosts[host] && !isLoopback(host) && !cameInOn(r.Context(), host) {
			w.Header().Set("Connection", "close") // clients that guess names must not hold connections
			refuse(w, r, &Problem{Type: problemType("unknown-host"), Title: "Unknown host", Status: http.StatusMisdirectedRequest,
				Detail: "This service does not know the host in the Host header. If it is correct, start the service with -host NAME or BANK_HOSTS=NAME. On the same machine, a loopback name always works."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname returns a host without its port, in the form in which hosts are compared.
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

// cameInOn reports whether a request came in on the address host. A cluster's probes use the
// address of a pod. DNS cannot rebind an address.
func cameInOn(ctx context.Context, host string) bool {
	local, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return ok && host != "" && hostname(local.String()) == host
}
