package service

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/bank/banktest"
)

// newGuarded is a service with options, connected to a bank of its own, with a page that says who
// asks.
func newGuarded(t *testing.T, options ...Option) http.Handler {
	t.Helper()
	accounts := banktest.New(t)
	s := New(quiet(), "sidecar", options...)
	s.Connect(t.Context(), func(context.Context) (Bank, error) {
		return Bank{Accounts: accounts, Reach: func(context.Context) error { return nil }}, nil
	})
	return s.Handler(func(*bank.Accounts) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("page for " + Origin(r.Context()).UserID))
		})
	})
}

func TestOnlyRequestsToKnownHostsAreServed(t *testing.T) {
	t.Parallel()
	h := newGuarded(t, WithHosts("bank.example.com", "Other.example:8080", "10.1.2.3"),
		WithMetrics(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) })))
	for host, served := range map[string]bool{
		"localhost": true, "localhost:8080": true, "LOCALHOST:1": true, "localhost.": true, "bank.localhost:80": true,
		"127.0.0.1": true, "127.0.0.1:8080": true, "127.9.9.9": true, "[::1]:8080": true, "[::1]": true, "[::ffff:127.0.0.1]:80": true,
		"bank.example.com": true, "bank.example.com:443": true, "BANK.example.com.": true, "other.example": true, "10.1.2.3:8080": true,
		"192.0.2.7:8080": true, // the address that the request came in on
		"evil.example":   false, "evil.example:8080": false, "": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"evil.example.com": false, "sub.bank.example.com": false, "notlocalhost": false, "10.1.2.4": false, "192.0.2.8:8080": false, "[2001:db8::1]": false,
		"0.0.0.0": false, "localhost@evil.example": false, ":8080": false, "evil.example:localhost": false,
	} {
		for _, path := range []string{"/", "/accounts/A1", "/api/v1/accounts", "/livez", "/openapi.yaml", "/metrics", "/nosuch"} {
			r := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 8080})), "GET", path, nil)
			r.Host = host
			r.Header.Set("Origin", "http://"+host)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if served != (w.Code != http.StatusMisdirectedRequest) {
				t.Errorf("%s of host %q: status %d", path, host, w.Code)
			}
			if served {
				continue
			}
			if p := refuses(t, w, http.StatusMisdirectedRequest, "unknown-host"); !strings.Contains(p.Detail, "-host") || !strings.Contains(p.Detail, "BANK_HOSTS") {
				t.Errorf("it does not say what to set: %s", p.Detail)
			}
			if w.Header().Get("Connection") != "close" {
				t.Errorf("%s of host %q: the connection stays open", path, host)
			}
		}
	}
	w := call(t, newGuarded(t), "GET /api/v1/accounts", "") // which is for example.com
	if w.Code != http.StatusOK {
		t.Errorf("a service without known hosts answers %d", w.Code)
	}
}
