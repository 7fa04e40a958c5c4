package notices

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/page"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
)

// Shown is the number of notices on the page.
const Shown = 50

// requestTimeout limits the time of the store for one page.
const requestTimeout = 9 * time.Second

//go:embed templates/notices.html
var text string

var view = template.Must(template.New("notices").Parse(text))

// shown is what the page shows.
type shown struct {
	Notices []Notice
	Most    int
	InBank  bool   // the page is one of those of the bank
	Name    string // the signed-in holder; empty if no key is needed
	Failed  string // why there are no notices; empty if there is nothing wrong
	Request string // the id of a failed request in the log
}

// Page returns the page of the newest [Shown] notices, for any path. Its style is in the assets of
// package page. In a bank, the page has the links of the bank.
func Page(kept *Notices, log *slog.Logger, inBank bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		v := shown{Most: Shown, InBank: inBank}
		if h, known := service.HolderOf(r.Context()); known {
			v.Name = h.Name
		}
		status := http.StatusOK
		newest, err := kept.Newest(ctx, Shown)
		switch {
		case err != nil && errors.Is(r.Context().Err(), context.Canceled):
			return // the client is gone
		case err != nil:
			status = service.ProblemOf(err).Status
			v.Request = service.Origin(r.Context()).CorrelationID
			v.Failed = "The notices cannot be read. They are kept, and new ones arrive when the store answers again."
			log.ErrorContext(r.Context(), "page failed", "request", v.Request, "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
		}
		v.Notices = newest
		var out bytes.Buffer // the whole page, so that an error never cuts it short
		if err := view.Execute(&out, v); err != nil {
			log.ErrorContext(r.Context(), "cannot render a page", "request", v.Request, "page", "notices", "error", err)
			http.Error(w, "cannot render the page", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if status >= http.StatusInternalServerError {
			h.Set("Retry-After", "2")
		}
		w.WriteHeader(status)
		_, _ = out.WriteTo(w)
	})
}

// Site returns the pages of a service that only shows notices: the page at "/", and its style.
func Site(kept *Notices, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", Page(kept, log, false))
	mux.Handle("GET /notices", http.RedirectHandler("/", http.StatusSeeOther)) // where the bank has it
	mux.Handle("GET /assets/{file}", page.Assets())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if service.CheckAddress(r.URL) != nil {
			http.Error(w, "the address of this page is not UTF-8, or its query is malformed", http.StatusBadRequest)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}
