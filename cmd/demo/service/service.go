// Package service is the bank over HTTP: a JSON API, its description, and health endpoints. It knows no Dapr.
package service

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// Service is the bank over HTTP. It serves before it is connected to a store, and says so; see [Service.Connect]. It
// is safe for concurrent use.
type Service struct {
	log       *slog.Logger
	store     string // what it connects to
	connected atomic.Pointer[Bank]
	draining  context.Context // ended by drain
	drain     context.CancelFunc
	unready   atomic.Pointer[string] // what was away when it was last asked, for the log

	hosts   map[string]bool // that it goes by; nil: any
	keys    *Keys
	metrics http.Handler // nil: none
}

// New makes a service that is not connected to a store yet: until it is, it says that this part is away, "sidecar" or "state store". It logs no
// payloads.
func New(log *slog.Logger, store string, options ...Option) *Service {
	s := &Service{log: log, store: store}
	for _, option := range options {
		option(s)
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	return s
}

// Drain has the service say that it is not ready any more. Requests go on: to wait for them is the
// part of http.Server.Shutdown.
func (s *Service) Drain() { s.drain() }

// Handler serves everything: what [Service.Routes] lists, and under all other paths the page, which is made once the
// service is connected. A nil page leads to the description of the API.
//
// To put telemetry around it, wrap what it returns: when that has returned, Request.Pattern is the route.
func (s *Service) Handler(page func(*bank.Accounts) http.Handler) http.Handler {
	own := http.NewServeMux()
	for pattern, handler := range s.routes() {
		own.Handle(pattern, handler)
	}
	mux, api := http.NewServeMux(), wellFormed(refuseUnknown(own))
	mux.Handle("/api/", api)
	for _, path := range []string{"/livez", "/readyz", "/openapi.yaml"} {
		mux.Handle(path, api)
	}
	if s.metrics != nil {
		mux.Handle("GET /metrics", s.metrics)
	}
	for _, method := range []string{"GET ", "POST "} {
		mux.HandleFunc(method+signInPath, s.signInForm)
	}
	mux.HandleFunc("POST "+signOutPath, signOut)
	if page == nil {
		mux.Handle("GET /{$}", http.RedirectHandler("/openapi.yaml", http.StatusSeeOther))
		mux.Handle("/", api)
	} else {
		mux.Handle("/", s.page(page))
	}
	return s.identify(s.logged(s.knownHosts(sameOrigin(s.authenticated(mux)))))
}

// page serves what is made of the accounts when there are any.
func (s *Service) page(of func(*bank.Accounts) http.Handler) http.Handler {
	once := sync.OnceValue(func() http.Handler { b, _ := s.bank(); return of(b.Accounts) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := s.bank(); !ok {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Retry-After", "2")
			w.Header().Set("Refresh", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(notYetPage))
			return
		}
		once().ServeHTTP(w, r)
	})
}

const notYetPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>Not connected yet</title>
<h1>Not connected yet</h1>
<p>The bank has no connection to its store yet, and goes on trying. This page asks again every two seconds;
<a href="/readyz">/readyz</a> says what is away.</p>
</html>
`

// Routes are the patterns of what the service itself serves, as http.ServeMux takes them: the API under /api/v1, its description and
// the health endpoints.
func (s *Service) Routes() []string { return slices.Sorted(maps.Keys(s.routes())) }

func (s *Service) routes() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /livez":        http.HandlerFunc(s.livez),
		"GET /readyz":       http.HandlerFunc(s.readyz),
		"GET /openapi.yaml": http.HandlerFunc(describe),

		"GET /api/v1/accounts":                       s.api(listAccounts),
		"POST /api/v1/accounts":                      s.api(openAccount),
		"GET /api/v1/accounts/{number}":              s.api(readAccount),
		"DELETE /api/v1/accounts/{number}":           s.api(deleteAccount),
		"POST /api/v1/accounts/{number}/deposits":    s.api(deposit),
		"POST /api/v1/accounts/{number}/withdrawals": s.api(withdraw),
		"POST /api/v1/accounts/{number}/close":       s.api(closeAccount),
		"GET /api/v1/accounts/{number}/events":       s.api(readEvents),
	}
}

// refuseUnknown has what a mux has no handler for answered with a problem: 404, or 405 with the methods that there are.
func refuseUnknown(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, pattern := mux.Handler(r); pattern == "" {
			verdict := verdict{header: w.Header()}
			handler.ServeHTTP(&verdict, r)
			switch verdict.status {
			case http.StatusNotFound:
				refuse(w, r, &Problem{Type: "about:blank", Title: "Not Found", Status: http.StatusNotFound,
					Detail: "There is nothing under this path: /openapi.yaml lists what there is."})
				return
			case http.StatusMethodNotAllowed:
				refuse(w, r, &Problem{Type: "about:blank", Title: "Method Not Allowed", Status: http.StatusMethodNotAllowed,
					Detail: "Under this path the methods are: " + w.Header().Get("Allow") + "."})
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

// verdict takes a handler's status and headers, and leaves out the rest.
type verdict struct {
	header http.Header
	status int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) Write(p []byte) (int, error) { return len(p), nil }
func (v *verdict) WriteHeader(status int)      { v.status = status }
