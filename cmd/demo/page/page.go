// Package page shows the accounts of a bank to people: one page of them all, and one of each account with its event stream, its
// balance as of any version, and what a conflict is. The pages are made on the server and work without script; a little
// of it adds live updates. They need nothing from elsewhere.
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

// maxForm is how large a form may be that someone sends, in bytes.
const maxForm = 64 << 10

// requestTimeout is how long the store gets for a page: less than a shutdown waits, so that none is
// cut.
const requestTimeout = 9 * time.Second

// page is what all its parts share.
type page struct {
	accounts *bank.Accounts
	log      *slog.Logger
	live     *live
	views    map[string]*template.Template
}

// New makes the pages of a bank: "/", "/accounts", "/accounts/{number}" and below, and "/assets/". What else is asked of it is answered
// with a page that says so. Mount it at the root. Requests that change something and come from other sites are refused.
//
// Where it is served by a [service.Service], events say of which request they came, see
// [service.Origin], and who sent it where that is known. Each page has 9 seconds, but for live
// updates: they end with the request, after an hour, and when the server that serves them is shut
// down. A browser goes on with a new request.
func New(accounts *bank.Accounts, log *slog.Logger, options ...Option) http.Handler {
	p := &page{accounts: accounts, log: log, live: newLive(accounts.Version), views: parseViews()}
	for _, option := range options {
		option(p)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.listAccounts)
	mux.Handle("GET /accounts", http.RedirectHandler("/", http.StatusSeeOther))
	mux.HandleFunc("POST /accounts", p.open)
	mux.HandleFunc("GET /accounts/{number}", p.showAccount)
	mux.HandleFunc(watchRoute, p.watch)
	mux.HandleFunc("POST /accounts/{number}/deposit", p.deposit)
	mux.HandleFunc("POST /accounts/{number}/withdraw", p.withdraw)
	mux.HandleFunc("POST /accounts/{number}/conflict", p.provokeConflict)
	for _, form := range []string{"deposit", "withdraw", "conflict"} {
		mux.HandleFunc("GET /accounts/{number}/"+form, p.backToAccount) // where a form was answered with a page, its address stays behind
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
			defer func() { outer.Pattern = inner.Pattern }() // who comes before finds the route
			r = inner
		}
		protected.ServeHTTP(w, r)
	})
}

// parseViews parses the templates, each with the frame that all have. They are part of the program: they parse or the tests fail.
func parseViews() map[string]*template.Template {
	views := map[string]*template.Template{}
	for _, name := range []string{"accounts", "account", "failure"} {
		views[name] = template.Must(template.New(name).ParseFS(templateFiles, "templates/frame.html", "templates/"+name+".html"))
	}
	return views
}

// frame is what is around every view.
type frame struct {
	View any
	Name string // who is signed in; empty: nobody needs to be
}

// mayWrite reports whether who sent a request may move money: to others no form is shown that can
// only fail.
func mayWrite(r *http.Request) bool {
	h, known := service.HolderOf(r.Context())
	return !known || h.Role >= service.Write
}

// render answers with a view. Nothing is sent before all of it is made, so that a page is never cut short by an error.
func (p *page) render(w http.ResponseWriter, r *http.Request, status int, view string, data any) {
	f := frame{View: data}
	if h, known := service.HolderOf(r.Context()); known {
		f.Name = h.Name
	}
	var out bytes.Buffer
	if err := p.views[view].ExecuteTemplate(&out, "frame", f); err != nil {
		p.log.ErrorContext(r.Context(), "a page could not be made", "request", service.Origin(r.Context()).CorrelationID, "page", view, "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // who asked may have left
}

// asset serves a file that pages refer to. A browser keeps it and asks whether it has changed.
func (p *page) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	content, err := fs.ReadFile(assetFiles, path.Join("assets", name))
	if err != nil {
		p.fail(w, r, errNoPage)
		return
	}
	sum := fnv.New64a()
	_, _ = sum.Write(content)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", strconv.Quote(strconv.FormatUint(sum.Sum64(), 36)))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

func (p *page) backToAccount(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, accountPath(r.PathValue("number")), http.StatusSeeOther)
}

// command is what goes with the change that a form asks for. The form's id makes sure that sending it twice changes once.
func command(r *http.Request) bank.Command {
	c := bank.Command{
		ID:              r.PostFormValue("id"),
		ExpectedVersion: -1, // a person means the account as it is by then
		Context:         service.Origin(r.Context()),
	}
	if c.Context.UserID == "" { // the service asks nobody who they are
		c.Context.UserID = "demo page"
	}
	return c
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// What the pages themselves refuse.
var (
	errNoPage  = errors.New("there is no such page")
	errBadForm = errors.New("the form that was sent can't be read: it is not UTF-8, or has a field twice; nothing was changed")

	errBadAddress = errors.New("the address of this page is not UTF-8, or its query can't be read")
	errBody       = errors.New("a request for live updates has no body")
	errReused     = errors.New("another form with the same id was stored before, and nothing of this one: load the page again, and fill the form in again")
	errForeign    = errors.New("the request was sent by a page of another site: nothing was changed")
)
