package browser

import (
	"context"
	_ "embed"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

//go:embed inspect.js
var inspect string

// views are the pages in all their states. Each has the actions that lead to it.
var views = []struct {
	name  string
	reach func(b *tab)
}{
	{"no accounts", func(b *tab) { b.visit("/?from=1") }},
	{"accounts", func(b *tab) { b.visit("/") }},
	{"account", func(b *tab) {
		b.visit("/accounts/1001?version=20&stored=36")
		b.until(`document.getElementById("live").textContent === "Live"`)
		b.do("open details", chromedp.Click("#summary-36"))
	}},
	{"conflict", func(b *tab) {
		b.visit("/accounts/1001")
		b.do("provoke a conflict", chromedp.Click("#conflict button"), chromedp.WaitVisible("#outcome .lost"))
	}},
	{"wrong amount", func(b *tab) {
		b.visit("/accounts/1001")
		b.do("withdraw too much", chromedp.SendKeys("#withdraw", "999999"+kb.Enter), chromedp.WaitVisible("#withdraw-error"))
	}},
	{"no such account", func(b *tab) { b.visit("/accounts/NONE") }},
}

// TestPagesAreReadableAndOperableByAll checks what can be measured. It checks the names and roles
// that assistive software gets, the headings and the landmarks. It checks that the tab key reaches
// every control and shows where it is. It also checks the contrast of texts and marks, in light and
// dark.
func TestPagesAreReadableAndOperableByAll(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := open(t, s.url)
	b.expect("404")
	b.expect("422")
	for i, view := range views {
		if i == 1 {
			s.livedIn(t, "1001", "Ada Lovelace")
		}
		view.reach(b)
		b.do("inspect", chromedp.Evaluate(inspect, nil))
		b.names(view.name)
		for _, fault := range eval[[]string](b, "inspect.structure()") {
			t.Errorf("%s: %s", view.name, fault)
		}
		for _, scheme := range []string{"dark", "light"} {
			b.scheme(scheme)
			measured := eval[struct {
				Pairs  int
				Faults []string
			}](b, "inspect.contrast()")
			if measured.Pairs < 5 {
				t.Errorf("%s, %s: only %d texts were measured", view.name, scheme, measured.Pairs)
			}
			for _, fault := range measured.Faults {
				t.Errorf("%s, %s: %s", view.name, scheme, fault)
			}
		}
		b.tabOrder(view.name)
	}
}

// TestTheInspectionFindsFaults puts faults into a page. The inspection must find each of them.
func TestTheInspectionFindsFaults(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := open(t, s.url)
	b.visit("/")
	b.do("inspect", chromedp.Evaluate(inspect, nil), chromedp.Evaluate(`
		document.querySelector("h1").style.color = "#999";
		document.querySelector("main").insertAdjacentHTML("beforeend", "<h1>Another</h1><h4>Far down</h4>");
		document.getElementById("owner").style.borderColor = "#eee";
		document.querySelector(".mark").style.stroke = "#ddd";`, nil))
	structure := strings.Join(eval[[]string](b, "inspect.structure()"), "\n")
	contrast := strings.Join(eval[[]string](b, "inspect.contrast().Faults"), "\n")
	for _, c := range []struct{ got, want string }{
		{structure, "2 main headings"}, {structure, "Far down"},
		{contrast, "Accounts"}, {contrast, "border of #owner"}, {contrast, "svg path"},
	} {
		if !strings.Contains(c.got, c.want) {
			t.Errorf("%q was not found in:\n%s", c.want, c.got)
		}
	}
}

// node is a node of the accessibility tree. The client's own type lacks some of the values that a
// newer browser sends.
type node struct {
	Ignored bool  `json:"ignored"`
	Role    value `json:"role"`
	Name    value `json:"name"`
}

type value struct {
	Value any `json:"value"`
}

// names checks that every control and every picture has a name.
func (b *tab) names(view string) {
	b.t.Helper()
	var tree struct {
		Nodes []node `json:"nodes"`
	}
	b.do("read the accessibility tree", chromedp.ActionFunc(func(ctx context.Context) error {
		return cdp.Execute(ctx, "Accessibility.getFullAXTree", nil, &tree)
	}))
	controls := 0
	for _, n := range tree.Nodes {
		switch role := n.Role.Value; role {
		case "button", "link", "textbox", "slider", "DisclosureTriangle", "image", "region", "navigation":
			if n.Ignored {
				continue
			}
			controls++
			if name, _ := n.Name.Value.(string); strings.TrimSpace(name) == "" {
				b.t.Errorf("%s: a %s has no name", view, role)
			}
		}
	}
	if controls < 4 {
		b.t.Errorf("%s: the accessibility tree has %d controls", view, controls)
	}
}

// tabOrder checks that the tab key reaches all controls in reading order, and that each shows that
// it has the focus.
func (b *tab) tabOrder(view string) {
	b.t.Helper()
	want := eval[[]string](b, "inspect.controls()")
	b.do("begin at the top", chromedp.Evaluate("inspect.top()", nil))
	for i, name := range want {
		b.press(kb.Tab)
		at := eval[struct {
			Name string
			Seen bool
		}](b, "inspect.focused()")
		if at.Name != name {
			b.t.Errorf("%s: the tab key leads to %q after %d controls, want %q", view, at.Name, i, name)
			return
		}
		if !at.Seen {
			b.t.Errorf("%s: %q does not show that it has the focus", view, name)
		}
	}
}
