package browser

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/integration/servers"
)

var write = flag.Bool("write", false, "write the screenshots of docs/images again; with the font Inter installed, account.png looks as it does there")

// shotsVariable names the folder for screenshots that a person can look at.
const shotsVariable = "EVENTSTORES_SCREENSHOTS"

// TestScreenshot takes pictures of the pages in light, in dark and on a phone. No page may be wider
// than its screen.
func TestScreenshot(t *testing.T) {
	folder := os.Getenv(shotsVariable)
	if folder == "" {
		folder = t.TempDir()
	}
	s := serve(t)
	s.livedIn(t, "1001", "Ada Lovelace")
	if _, err := s.Open(t.Context(), "1002", "Grace Brewster Murray Hopper", 1_290_00, bank.Command{ExpectedVersion: -1}); err != nil {
		t.Fatal(err)
	}
	b := open(t, s.url)
	for _, view := range []struct {
		name   string
		path   string
		width  int64
		height int64
		scheme string
	}{
		{"account", "/accounts/1001?version=34", 1200, 1376, "light"},
		{"account-dark", "/accounts/1001?version=34", 1200, 1376, "dark"},
		{"account-phone", "/accounts/1001", 360, 740, "light"},
		{"account-phone-dark", "/accounts/1001?version=10", 360, 740, "dark"},
		{"accounts", "/", 1200, 800, "light"},
		{"accounts-phone", "/", 360, 740, "dark"},
	} {
		b.do(view.name, emulation.SetDeviceMetricsOverride(view.width, view.height, 1, false))
		b.scheme(view.scheme)
		b.visit(view.path)
		if strings.HasPrefix(view.path, "/accounts/") {
			b.until(`document.getElementById("live").textContent === "Live"`)
		}
		if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > view.width {
			t.Errorf("%s is %d pixels wide on a screen of %d", view.name, wide, view.width)
		}
		b.shoot(filepath.Join(folder, view.name+".png"))
		if *write && view.name == "account" {
			root, err := servers.Root()
			if err != nil {
				t.Fatal(err)
			}
			b.shoot(filepath.Join(root, "docs", "images", "account.png"))
			t.Log("written: docs/images/account.png")
		}
	}
	b.do("conflict", emulation.SetDeviceMetricsOverride(1200, 1150, 1, false))
	b.scheme("light")
	b.visit("/accounts/1001")
	b.do("provoke a conflict", chromedp.Click("#conflict button"), chromedp.WaitVisible("#outcome .lost"),
		chromedp.Click("#summary-36"), chromedp.Evaluate("scrollTo(0, 0)", nil))
	b.shoot(filepath.Join(folder, "conflict.png"))
	b.do("scroll", chromedp.Evaluate("document.getElementById('events').scrollIntoView()", nil))
	b.shoot(filepath.Join(folder, "events.png"))
	b.do("phone", emulation.SetDeviceMetricsOverride(360, 740, 1, false), chromedp.Evaluate("document.getElementById('events').scrollIntoView()", nil))
	b.shoot(filepath.Join(folder, "events-phone.png"))
	b.expect("404")
	b.visit("/accounts/NONE")
	b.shoot(filepath.Join(folder, "failure.png"))
}

func (b *tab) shoot(file string) {
	b.t.Helper()
	var picture []byte
	b.do("take a screenshot", chromedp.CaptureScreenshot(&picture))
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
