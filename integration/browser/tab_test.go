package browser

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// patience is how long a test may take with its browser. It only decides when to give up.
const patience = 2 * time.Minute

// tab is one tab of its own browser, 1200 pixels wide. The test fails if the tab saw any trouble:
// an error on the console, a failed request, or a request to anywhere but the site.
type tab struct {
	t    *testing.T
	ctx  context.Context
	site string

	mu       sync.Mutex
	troubles []string
	expected []string // texts of troubles that the test provokes
}

func open(t *testing.T, site string) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(servers.Chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(patience),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.WindowSize(1200, 900),
	}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage", "disable-extensions", "disable-default-apps"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // a newer browser sends messages that this client does not know yet
	t.Cleanup(cancel)
	tab := &tab{t: t, ctx: ctx, site: site}
	chromedp.ListenTarget(ctx, tab.listen)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until the browser has ended
		tab.mu.Lock()
		defer tab.mu.Unlock()
		for _, trouble := range tab.troubles {
			if !slices.ContainsFunc(tab.expected, func(text string) bool { return strings.Contains(trouble, text) }) {
				t.Errorf("in the browser: %s", trouble)
			}
		}
	})
	tab.do("start", network.Enable(), log.Enable(), runtime.Enable(), emulation.SetDeviceMetricsOverride(1200, 900, 1, false))
	return tab
}

func (b *tab) listen(event any) {
	trouble := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.troubles = append(b.troubles, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		trouble("exception: %s", e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			trouble("console: %s %v", e.Type, e.Args)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			trouble("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventLoadingFailed:
		if !e.Canceled {
			trouble("a request failed: %s %s", e.Type, e.ErrorText)
		}
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.site+"/") {
			trouble("a request to elsewhere: %s", e.Request.URL)
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			trouble("a request got status of %d: %s", e.Response.Status, e.Response.URL)
		}
	}
}

// expect declares that a trouble with this text is expected, because the test provokes it.
func (b *tab) expect(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, text)
}

func (b *tab) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		var at, body string
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		defer cancel()
		_ = chromedp.Run(ctx, chromedp.Location(&at), chromedp.Evaluate("document.body.innerText", &body))
		b.t.Fatalf("%s: %v; at %s:\n%s", what, err, at, body)
	}
}

func (b *tab) visit(path string) {
	b.t.Helper()
	b.do("visit "+path, chromedp.Navigate(b.site+path))
}

// until waits until an expression is true in the page. If the browser navigates meanwhile, until
// goes on in the new page.
func (b *tab) until(expression string) {
	b.t.Helper()
	b.do("wait until "+expression, chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			err := chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(patience)).Do(ctx)
			var failed *cdproto.Error
			if !errors.As(err, &failed) || ctx.Err() != nil { // with such an error, Poll lost its page to a navigation
				return err
			}
		}
	}))
}

// press types keys into the element that has the focus.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.do("press keys", chromedp.KeyEvent(keys))
}

// eval evaluates an expression in the page and returns its value.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	var value T
	b.do("evaluate "+expression, chromedp.Evaluate(expression, &value))
	return value
}

func (b *tab) wants(expression, want string) {
	b.t.Helper()
	if got := eval[string](b, expression); got != want {
		b.t.Errorf("%s is %q, want %q", expression, got, want)
	}
}

func (b *tab) scheme(scheme string) {
	b.t.Helper()
	b.do("color scheme "+scheme, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// withoutScript stops pages from running their own scripts. What the test evaluates still runs.
func (b *tab) withoutScript() {
	b.t.Helper()
	b.do("switch script off", emulation.SetScriptExecutionDisabled(true))
}
