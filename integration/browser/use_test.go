package browser

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

var anyVersion = bank.Command{ExpectedVersion: -1}

// tabTo presses the tab key until the element with an id has the focus.
func (b *tab) tabTo(id string) {
	b.t.Helper()
	for range 60 {
		b.press(kb.Tab)
		if eval[string](b, "document.activeElement.id") == id {
			return
		}
	}
	b.t.Fatalf("the tab key does not lead to %s", id)
}

func TestAnAccountIsOpenedAndUsedByKeyboardOnly(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := open(t, s.url)
	b.visit("/")
	b.press(kb.Tab)
	b.wants("document.activeElement.textContent", "Skip to the content")
	b.press(kb.Enter)
	b.tabTo("number")
	b.press("1001" + kb.Tab + "Ada Lovelace" + kb.Tab + "12.34" + kb.Enter)
	b.until(`location.pathname === "/accounts/1001" && document.querySelector("h1")?.textContent === "Ada Lovelace"`)
	b.wants(`document.querySelector(".notice").textContent`, "Stored as version 1.")
	b.tabTo("deposit")
	b.press("0.07" + kb.Tab + kb.Enter)
	b.until(`location.search === "?stored=2" && !!document.querySelector("#e2")`)
	b.wants(`document.querySelector(".big").textContent`, "12.41")
	b.tabTo("withdraw")
	b.press("2.41" + kb.Enter)
	b.until(`location.search === "?stored=3" && !!document.querySelector("#e3")`)
	b.tabTo("version")
	b.press(kb.ArrowLeft)
	b.until(`document.querySelector(".then .amount")?.textContent === "12.41"`)
	b.wants("document.activeElement.id", "version")
	b.wants(`document.activeElement.getAttribute("aria-valuetext")`, "version 2 of 3, balance 12.41")
	b.tabTo("summary-3")
	b.press(kb.Enter)
	b.until(`document.getElementById("more-3")?.open`)
	if now, err := s.Account(t.Context(), "1001"); err != nil || now.Version != 3 || now.State.Balance != 10_00 {
		t.Errorf("%+v, %v", now, err)
	}
}

func TestAChangeThatOthersMakeIsSeenWithoutReloading(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.livedIn(t, "1001", "Ada Lovelace")
	b := open(t, s.url)
	b.visit("/accounts/1001")
	b.until(`document.getElementById("live")?.textContent === "Live"`)
	b.do("mark the page, open details, write an amount", chromedp.Evaluate(`window.same = true; document.querySelector("main").same = true`, nil),
		chromedp.Click("#summary-36"), chromedp.SendKeys("#deposit", "7.5"), chromedp.Focus("#at-35"))

	if _, err := s.Deposit(t.Context(), "1001", 1_00, anyVersion); err != nil {
		t.Fatal(err)
	}
	b.until(`!!document.getElementById("e37")`)
	b.wants(`document.querySelector(".big").textContent`, "4,258.62")
	b.wants(`document.getElementById("announce").textContent`, "Version 37: Deposit +1.00, balance 4,258.62")
	b.wants(`document.getElementById("version").value + " of " + document.getElementById("version").max`, "37 of 37")
	b.wants(`document.activeElement.id`, "at-35")
	b.wants(`document.getElementById("deposit").value`, "7.5")
	b.wants(`String(document.getElementById("more-36").open)`, "true")
	b.wants(`String(window.same && document.querySelector("main").same)`, "true")

	b.do("look back", chromedp.Click("#at-20"))
	b.until(`!!document.querySelector("#e20.is-shown")`)
	if _, err := s.Deposit(t.Context(), "1001", 1_00, anyVersion); err != nil {
		t.Fatal(err)
	}
	b.until(`!!document.getElementById("e38")`)
	b.wants(`document.getElementById("version").value + " of " + document.getElementById("version").max`, "20 of 38")
	b.wants(`document.querySelector(".timeline .is-shown").id + location.search`, "e20?version=20")

	b.expect("410")
	if err := s.Delete(t.Context(), "1001", -1); err != nil {
		t.Fatal(err)
	}
	b.until(`document.querySelector("h1")?.textContent === "The account was deleted"`)
}

func TestTheSliderShowsTheStateAsOfAnyVersion(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.livedIn(t, "1001", "Ada Lovelace")
	b := open(t, s.url)
	b.visit("/accounts/1001")
	b.wants(`[...document.querySelectorAll(".plot .snapshot")].map(m => m.dataset.version).join()`, "30,20")
	b.wants(`[...document.querySelectorAll(".timeline .has-snapshot")].map(m => m.id).join()`, "e30,e20")
	b.wants(`String(document.querySelector("#slide button").hidden)`, "true")
	for _, version := range []int64{1, 13, 20, 36} {
		was, err := s.AsOf(t.Context(), "1001", version)
		if err != nil {
			t.Fatal(err)
		}
		b.do("move the slider", chromedp.Evaluate(fmt.Sprintf(`{
			const slider = document.getElementById("version");
			slider.value = %d;
			slider.dispatchEvent(new Event("input", { bubbles: true }));
		}`, version), nil))
		b.until(fmt.Sprintf(`document.querySelector(".plot .dot")?.dataset.version === "%d"`, version))
		b.wants(`document.querySelector(".then .amount").textContent`, was.State.Balance.String())
		b.wants(`document.querySelector(".timeline .is-shown").id`, "e"+strconv.FormatInt(version, 10))
		// The thumb stands below the mark.
		off := eval[float64](b, `(() => {
			const slider = document.getElementById("version"), all = slider.getBoundingClientRect();
			const thumb = all.left + 10 + (all.width - 20) * (slider.value - slider.min) / (slider.max - slider.min);
			const dot = document.querySelector(".plot .dot").getBoundingClientRect();
			return Math.abs(thumb - (dot.left + dot.right) / 2);
		})()`)
		if off > 1 {
			t.Errorf("version %d: thumb and mark are %.1f pixels apart", version, off)
		}
	}
	b.do("drag the slider", chromedp.Evaluate(`{
		const slider = document.getElementById("version");
		for (let version = 36; version > 4; version--) {
			slider.value = version;
			slider.dispatchEvent(new Event("input", { bubbles: true }));
		}
	}`, nil))
	b.until(`location.search === "?version=5" && document.querySelector(".plot .dot")?.dataset.version === "5"`)
}

func TestAConflictIsProvokedAndExplained(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.livedIn(t, "1001", "Ada Lovelace")
	b := open(t, s.url)
	b.visit("/accounts/1001")
	b.do("provoke a conflict", chromedp.Click("#conflict button"), chromedp.WaitVisible("#outcome .lost"))
	b.wants(`document.querySelectorAll("#outcome li").length + " " + document.querySelector("#outcome .won .in").textContent`, "2 Stored as version 37")
	b.until(`/EventStores:BankAccount:1001 is at version 37, not 36.*nothing was stored/.test(document.querySelector("#outcome .said")?.textContent)`)
	if version, err := s.Version(t.Context(), "1001"); err != nil || version != 37 {
		t.Errorf("version %d, %v: want one of two stored", version, err)
	}
	// The result of the conflict stays on the page while other writers append.
	b.until(`document.getElementById("live")?.textContent === "Live"`)
	if _, err := s.Deposit(t.Context(), "1001", 1_00, anyVersion); err != nil {
		t.Fatal(err)
	}
	b.until(`!!document.getElementById("e38") && !!document.querySelector("#outcome .lost")`)
}

func TestAllWorksWithoutScript(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.livedIn(t, "1001", "Ada Lovelace")
	b := open(t, s.url)
	b.withoutScript()
	b.visit("/accounts/1001")
	b.do("move the slider by keyboard", chromedp.Focus("#version"))
	b.press(kb.ArrowLeft + kb.ArrowLeft)
	b.do("show", chromedp.Click("#slide button"), chromedp.WaitVisible("#e34.is-shown"))
	b.do("deposit", chromedp.SendKeys("#deposit", "5"), chromedp.Click(`form[action$="/deposit"] button`), chromedp.WaitVisible("#e37"))
	b.do("provoke a conflict", chromedp.Click("#conflict button"), chromedp.WaitVisible("#outcome .lost"), chromedp.WaitVisible("#e38"))
	b.do("what is wrong", chromedp.SendKeys("#withdraw", "999999"))
	b.expect("422")
	b.press(kb.Enter)
	b.do("is said", chromedp.WaitVisible("#withdraw-error"))
}
