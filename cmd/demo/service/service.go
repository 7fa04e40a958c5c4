// Package service offers the bank over HTTP: a JSON API, its description, and health endpoints. It
// knows no Dapr.
package service

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// Service is the bank over HTTP. It also serves before it is connected to a store, and then answers
// 503, see [Service.Connect]. It is safe for concurrent use.
type Service struct {
	log       *slog.Logger
	store     string // the part that it connects to
	connected atomic.Pointer[Bank]
	draining  context.Context // Drain ends it
	drain     context.CancelFunc
	unready   atomic.Pointer[string] // the failed part at the last check, for the log

	hosts   map[string]bool // the known hosts; nil accepts any
	keys    *Keys
	metrics http.Handler // nil: none
}

// New returns a service that is not connected to a store yet. Until then its health endpoint names
// store as the failing part: "sidecar" or "state store". The service logs no payloads.
func New(log *slog.Logger, store string, options ...Option) *Service {
	s := &Service{log: log, store: store}
	for _, option := range options {
		option(s)
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	return s
}

// Drain makes the service report that it is not ready. Requests still work, because
// http.Server.Shutdown waits for them.
func (s *Service) Drain() { s.drain() }

// Handler returns the handler of everything: the paths that [Service.Routes] lists, and the page
// under all other paths. The function page is called once the service is connected. If it is nil,
// "/" redirects to the description of the API.
//
// To add telemetry, wrap the returned handler. After the handler returns, Request.Pattern is the
// route.
func (s *Service) Handler(page func(*bank.Accounts) http.Handler) http.Handler {
	return s.handler(s.routes(), page)
}

// Pages is [Service.Handler] for a service that has pages but no API. The function pages is called
// once the service is connected. Its [Bank] needs no accounts.
func (s *Service) Pages(pages func() http.Handler) http.Handler {
	return s.handler(s.healthRoutes(), func(*bank.Accounts) http.Handler { return pages() })
}

func (s *Service) handler(routes map[string]http.Handler, page func(*bank.Accounts) http.Handler) http.Handler {
	own := http.NewServeMux()
	mux, api := http.NewServeMux(), wellFormed(refuseUnknown(own))
	paths := map[string]bool{}
	for pattern, handler := range routes {
		own.Handle(pattern, handler)
		if _, path, _ := strings.Cut(pattern, " "); strings.HasPrefix(path, "/api/") {
			paths["/api/"] = true // with the unknown ones
		} else {
			paths[path] = true
		}
	}
	for path := range paths {
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

// page serves the page, which it creates once the service is connected.
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
<p>The service is not connected to its store yet, and keeps trying. This page reloads every two seconds;
<a href="/readyz">/readyz</a> says what does not answer.</p>
</html>
`

// Routes returns the service's own patterns, in the form of http.ServeMux: the API under /api/v1,
// its description and the health endpoints.
func (s *Service) Routes() []string { return slices.Sorted(maps.Keys(s.routes())) }

func (s *Service) routes() map[string]http.Handler {
	routes := map[string]http.Handler{
		"GET /openapi.yaml": http.HandlerFunc(describe),

		"GET /api/v1/accounts":                       s.api(listAccounts),
		"POST /api/v1/accounts":                      s.api(openAccount),
		"GET /api/v1/accounts/{number}":              s.api(readAccount),
		"DELETE /api/v1/accounts/{number}":           s.api(deleteAccount),
		"POST /api/v1/accounts/{number}/deposits":    s.api(deposit),
		"POST /api/v1/accounts/{number}/withdrawals": s.api(withdraw),
		"POST /api/v1/accounts/{number}/transfers":   s.api(send),
		"POST /api/v1/accounts/{number}/close":       s.api(closeAccount),
		"GET /api/v1/accounts/{number}/events":       s.api(readEvents),
		"GET /api/v1/transfers/{id}":                 s.api(readTransfer),
	}
	maps.Copy(routes, s.healthRoutes())
	return routes
}

func (s *Service) healthRoutes() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /livez":  http.HandlerFunc(s.livez),
		"GET /readyz": http.HandlerFunc(s.readyz),
	}
}

// refuseUnknown answers with a problem if a mux has no handler: 404, or 405 with the allowed
// methods.
func refuseUnknown(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, pattern := mux.Handler(r); pattern == "" {
			verdict := verdict{header: w.Header()}
			handler.ServeHTTP(&verdict, r)
			switch verdict.status {
			case http.StatusNotFound:
				refuse(w, r, &Problem{Type: "about:blank", Title: "Not Found", Status: http.StatusNotFound,
					Detail: "This path does not exist. /openapi.yaml lists all paths."})
				return
			case http.StatusMethodNotAllowed:
				refuse(w, r, &Problem{Type: "about:blank", Title: "Method Not Allowed", Status: http.StatusMethodNotAllowed,
					Detail: "This path allows the methods: " + w.Header().Get("Allow") + "."})
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

// verdict records a handler's status and headers, and drops the body.
type verdict struct {
	header http.Header
	status int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) Write(p []byte) (int, error) { return len(p), nil }
func (v *verdict) WriteHeader(status int)      { v.status = status }
