// Package page shows the accounts of a bank to people. One page lists all accounts. Each account
// has a page with its events, its balance at any version, and a demonstration of a conflict. The
// server renders the pages, and they work without script. A small script adds live updates. The
// pages load nothing from other sites.
package page

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"hash/fnv"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
)

//go:embed templates
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// maxForm is the maximum size of a form in bytes.
const maxForm = 64 << 10

// requestTimeout limits the store's time for one page. It is less than the grace period of a
// shutdown, so that a shutdown cuts off no request.
const requestTimeout = 9 * time.Second

// page holds what all pages share.
type page struct {
	accounts *bank.Accounts
	log      *slog.Logger
	live     *live
	views    map[string]*template.Template
	notices  http.Handler // nil: none
}

// WithNotices adds a page at "/notices", and a link to it on all pages.
func WithNotices(notices http.Handler) Option {
	return func(p *page) { p.notices = notices }
}

// New returns the pages of a bank: "/", "/overview", "/transfers/{id}", "/accounts",
// "/accounts/{number}" and below, and "/assets/". Other paths get a page that says so. Mount the
// handler at the root. It refuses changes that other sites request.
//
// If a [service.Service] serves the pages, events record the request that caused them, see
// [service.Origin], and its sender, if known. Each page may take 9 seconds, except live updates.
// They end with the request, after an hour, or when their server shuts down. The browser then sends
// a new request. While no instance runs [bank.Accounts.Index], there are no live updates, and they
// come once one does.
func New(accounts *bank.Accounts, log *slog.Logger, options ...Option) http.Handler {
	p := &page{accounts: accounts, log: log, live: newLive(accounts, log), views: parseViews()}
	for _, option := range options {
		option(p)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.listAccounts)
	mux.Handle("GET /accounts", http.RedirectHandler("/", http.StatusSeeOther))
	mux.HandleFunc("GET /overview", p.showOverview)
	mux.HandleFunc("GET /transfers/{id}", p.showTransfer)
	mux.HandleFunc("POST /accounts", p.open)
	mux.HandleFunc("GET /accounts/{number}", p.showAccount)
	mux.HandleFunc(watchRoute, p.watch)
	mux.HandleFunc("POST /accounts/{number}/deposit", p.deposit)
	mux.HandleFunc("POST /accounts/{number}/withdraw", p.withdraw)
	mux.HandleFunc("POST /accounts/{number}/send", p.send)
	mux.HandleFunc("POST /accounts/{number}/conflict", p.provokeConflict)
	for _, form := range []string{"deposit", "withdraw", "send", "conflict"} {
		mux.HandleFunc("GET /accounts/{number}/"+form, p.backToAccount) // a form that was answered with a page leaves its address in the browser
	}
	if p.notices != nil {
		mux.Handle("GET /notices", p.notices)
	}
	mux.HandleFunc("GET /assets/{file}", p.asset)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { p.fail(w, r, errNoPage) })

	own := http.NewCrossOriginProtection()
	own.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.fail(w, r, errForeign) }))
	protected := own.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := service.CheckAddress(r.URL); err != nil {
			p.fail(w, r, errBadAddress)
			return
		}
		if !IsWatch(r) {
			ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
			defer cancel()
			outer, inner := r, r.WithContext(ctx)
			defer func() { outer.Pattern = inner.Pattern }() // outer handlers read the route
			r = inner
		}
		protected.ServeHTTP(w, r)
	})
}

// parseViews parses the templates, each with the common frame. They are part of the program, so a
// test finds errors in them.
func parseViews() map[string]*template.Template {
	views := map[string]*template.Template{}
	for _, name := range []string{"accounts", "account", "overview", "transfer", "failure"} {
		views[name] = template.Must(template.New(name).ParseFS(templateFiles, "templates/frame.html", "templates/"+name+".html"))
	}
	return views
}

// frame surrounds every view.
type frame struct {
	View    any
	Name    string // the signed-in holder; empty if no key is needed
	Notices bool   // there is a page of notices
}

// mayWrite reports whether the sender of a request may move money. Other people see no forms,
// because these would only fail.
func mayWrite(r *http.Request) bool {
	h, known := service.HolderOf(r.Context())
	return !known || h.Role >= service.Write
}

// render answers with a view. It renders the whole page before it sends anything, so that an error
// never cuts a page short.
func (p *page) render(w http.ResponseWriter, r *http.Request, status int, view string, data any) {
	f := frame{View: data, Notices: p.notices != nil}
	if h, known := service.HolderOf(r.Context()); known {
		f.Name = h.Name
	}
	var out bytes.Buffer
	if err := p.views[view].ExecuteTemplate(&out, "frame", f); err != nil {
		p.log.ErrorContext(r.Context(), "cannot render a page", "request", service.Origin(r.Context()).CorrelationID, "page", view, "error", err)
		http.Error(w, "cannot render the page", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the client may have left
}

// Assets returns the handler of "/assets/{file}", for pages of other packages.
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !serveAsset(w, r) {
			http.NotFound(w, r)
		}
	})
}

func (p *page) asset(w http.ResponseWriter, r *http.Request) {
	if !serveAsset(w, r) {
		p.fail(w, r, errNoPage)
	}
}

// serveAsset serves a file that pages refer to. Browsers keep it and ask whether it has changed. It
// returns false if there is no such file.
func serveAsset(w http.ResponseWriter, r *http.Request) bool {
	name := r.PathValue("file")
	content, err := fs.ReadFile(assetFiles, path.Join("assets", name))
	if err != nil {
		return false
	}
	sum := fnv.New64a()
	_, _ = sum.Write(content)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", strconv.Quote(strconv.FormatUint(sum.Sum64(), 36)))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	return true
}

func (p *page) backToAccount(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, accountPath(r.PathValue("number")), http.StatusSeeOther)
}

// command returns the command of a form. The form's id ensures that sending it twice makes one
// change.
func command(r *http.Request) bank.Command {
	c := bank.Command{
		ID:              r.PostFormValue("id"),
		ExpectedVersion: -1, // people mean the account in its current state
		Context:         service.Origin(r.Context()),
	}
	if c.Context.UserID == "" { // the service asks for no keys
		c.Context.UserID = "demo page"
	}
	return c
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// The errors that only pages have.
var (
	errNoPage  = errors.New("this page does not exist")
	errBadForm = errors.New("the form is not UTF-8, or has a field twice; nothing was changed")

	errBadAddress = errors.New("the address of this page is not UTF-8, or its query is malformed")
	errBody       = errors.New("a request for live updates must have no body")
	errReused     = errors.New("another form with the same id was stored before; nothing of this form was stored; reload the page and fill in the form again")
	errForeign    = errors.New("a page of another site sent this request; nothing was changed")
)
