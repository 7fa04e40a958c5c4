package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

//go:embed templates
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

const (
	maxForm        = 16 << 10        // bytes of a form
	requestTimeout = 9 * time.Second // for one page; a page that reads much stops before that
	readFor        = 6 * time.Second // how long such a page reads
)

// console holds what all pages share.
type console struct {
	feed   *feed.Feed
	log    *slog.Logger
	views  map[string]*template.Template
	census census
	live   live
	guard  guard

	prefix  string
	title   string
	changes bool
	folds   map[string]fold // by aggregate type
	checks  []check

	projections []projection.Option
}

// Option configures the console.
type Option func(*console) error

// WithPrefix mounts the console below a path, such as "/console". The default is the root. The
// handler expects requests with the whole path, so it needs no [http.StripPrefix].
func WithPrefix(prefix string) Option {
	return func(c *console) error {
		if prefix != "" && (!strings.HasPrefix(prefix, "/") || path.Clean(prefix) != prefix || strings.ContainsAny(prefix, "{}?#% ") || prefix == "/") {
			return wrong("prefix", "want a clean path such as /console, or an empty one")
		}
		c.prefix = prefix
		return nil
	}
}

// WithTitle sets the name of the store that all pages show. The default is the name of the feed.
func WithTitle(title string) Option {
	return func(c *console) error {
		c.title = visible(title)
		return nil
	}
}

// WithChanges lets people change something: retry and skip streams that a subscription has parked.
// The handler refuses changes that other sites request. The default is that nothing is changed.
func WithChanges() Option {
	return func(c *console) error {
		c.changes = true
		return nil
	}
}

func wrong(argument, reason string) error {
	return &eventstore.ArgumentError{Argument: argument, Reason: reason}
}

// New returns the pages of the store that a feed is about. The handler is safe for concurrent use.
//
// Each page may take 9 seconds, except live updates and downloads. Live updates end with the
// request, after an hour, or when their server shuts down, and the browser then asks again. New
// sends nothing. It returns an [eventstore.ArgumentError] for a nil feed or a wrong option.
func New(f *feed.Feed, options ...Option) (http.Handler, error) {
	if f == nil {
		return nil, wrong("feed", "it is nil")
	}
	c := &console{feed: f, log: f.Provider().Logger(), views: parseViews(), title: visible(f.Name()), folds: map[string]fold{}}
	for _, option := range options {
		if option == nil {
			return nil, wrong("options", "one is nil")
		}
		if err := option(c); err != nil {
			return nil, err
		}
	}
	return c.handler(), nil
}

func (c *console) handler() http.Handler {
	mux := http.NewServeMux()
	get := func(pattern string, show func(w http.ResponseWriter, r *http.Request) error) {
		mux.HandleFunc("GET "+c.prefix+pattern, c.answer(show))
	}
	get("/{$}", c.listStreams)
	mux.Handle("GET "+c.prefix+"/streams", http.RedirectHandler(c.prefix+"/", http.StatusSeeOther))
	get("/streams/{stream}", c.showStream)
	get("/streams/{stream}/state", c.showState)
	get("/streams/{stream}/events/{version}", c.download)
	get("/streams/{stream}/snapshots/{version}", c.showSnapshot)
	get("/streams/{stream}/snapshots/{version}/raw", c.downloadSnapshot)
	get("/events", c.listEvents)
	get("/correlation", c.showCorrelation)
	get("/projections", c.listFollowers)
	get("/health", c.showHealth)
	get("/assets/{file}", serveAsset)
	mux.HandleFunc("GET "+c.prefix+"/live", c.watch)
	if c.changes {
		mux.HandleFunc("POST "+c.prefix+"/projections/{what}", c.answer(c.unpark))
	}
	if c.guard.token != nil {
		mux.HandleFunc("POST "+c.prefix+"/sign-in", c.signIn)
		mux.HandleFunc("POST "+c.prefix+"/sign-out", c.signOut)
	}
	mux.HandleFunc("/", c.answer(func(http.ResponseWriter, *http.Request) error { return errNoPage }))

	own := http.NewCrossOriginProtection()
	own.SetDenyHandler(c.answer(func(http.ResponseWriter, *http.Request) error { return errForeign }))
	protected := own.Handler(c.guarded(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		protected.ServeHTTP(w, r)
	})
}

// answer returns a handler that limits the time, and that answers with a page about the error.
func (c *console) answer(show func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		if err := show(w, r.WithContext(ctx)); err != nil {
			c.fail(w, r, err)
		}
	}
}

// parseViews parses the templates, each with the common frame. They are part of the program, so a
// test finds errors in them.
func parseViews() map[string]*template.Template {
	views := map[string]*template.Template{}
	shared := template.Must(template.New("").Funcs(template.FuncMap{"visible": visible, "when": when, "stamp": stamp}).
		ParseFS(templateFiles, "templates/frame.html", "templates/parts.html"))
	for _, name := range []string{"streams", "stream", "state", "snapshot", "events", "correlation", "followers", "health", "failure", "signin"} {
		views[name] = template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return views
}

// frame surrounds every view.
type frame struct {
	View    any
	Base    string // before each path
	Title   string // of the store
	At      string // the view
	Changes bool
	Token   bool // signing out is possible
	Out     bool // for anyone: it does not tell which store it is, and has no links to other pages
}

// render answers with a view. It renders the whole page before it sends anything, so that an error
// never cuts a page short.
func (c *console) render(w http.ResponseWriter, status int, view string, data any) error {
	f := frame{View: data, Base: c.prefix, Title: c.title, At: view, Changes: c.changes, Token: c.guard.token != nil, Out: status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusMisdirectedRequest}
	var out bytes.Buffer
	if err := c.views[view].ExecuteTemplate(&out, "frame", f); err != nil {
		return fmt.Errorf("cannot render the page %s: %w", view, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the client may have left
	return nil
}

// serveAsset serves a file that pages refer to. Browsers keep it and ask whether it has changed.
func serveAsset(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	content, err := fs.ReadFile(assetFiles, path.Join("assets", name))
	if err != nil {
		return errNoPage
	}
	sum := fnv.New64a()
	_, _ = sum.Write(content)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", strconv.Quote(strconv.FormatUint(sum.Sum64(), 36)))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	return nil
}

// The errors that only pages have.
var (
	errNoPage     = errors.New("this page does not exist")
	errNoStream   = errors.New("the store has no such stream")
	errNoVersion  = errors.New("the stream has no such version")
	errNoPosition = errors.New("the feed does not have the position of this page")
	errBadStream  = errors.New("this is not the name of a stream; a name is database:type:id, with every byte except A-Z a-z 0-9 - _ . ~ as %XX")
	errBadQuery   = errors.New("the address of this page has a parameter that cannot be used")
	errBadForm    = errors.New("the form is incomplete; nothing was changed")
	errTooMany    = errors.New("too many pages ask for live updates; close some of them")
	errForeign    = errors.New("a page of another site sent this request; nothing was changed")
	errHost       = errors.New("the console does not answer requests for this host, because a page of another site could have sent them")
)
