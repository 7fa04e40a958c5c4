package bench

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// No time decides this test. compare checks that the sides of each comparison did the same work and
// left the same number of events in the store.
func TestEveryCaseYieldsARowAndItsSidesDoTheSame(t *testing.T) {
	stores := []string{"sidecar/in-memory", "embedded/memory", "embedded/sqlite"}
	r := measure(t, caseNames(), stores, small, plan{rounds: 1, verify: true})

	onAFew := regexp.MustCompile("^(feedindexed|latency|across|list|old|projectlive)")
	shape := regexp.MustCompile(`^bench case=(\w+) store=(\S+)( against=(?:hallgren|eventhorizon))? ours_(us|mib)=[\d.]+ (floor|hallgren|eventhorizon)_(us|mib)=[\d.]+ (ratio|difference_mib)=-?[\d.]+ `)
	var got []string
	for _, row := range r.rows() {
		if strings.HasPrefix(row, "bench case="+idleCase+" ") {
			continue
		}
		found := shape.FindStringSubmatch(row)
		if found == nil {
			t.Errorf("row %q does not match %s", row, shape)
			continue
		}
		got = append(got, found[1]+" "+found[2]+found[3])
	}
	var want []string
	for _, store := range stores {
		for _, c := range comparisons {
			switch {
			case c.name == "encode1000" && store != "embedded/memory": // it needs no store
			case c.name == "hot4x4" && store == "embedded/memory": // no other process can reach it
			case onAFew.MatchString(c.name) && c.against == "floor" && store != "embedded/sqlite": // measured on a few stores
			case c.against == "floor":
				want = append(want, c.name+" "+store)
			case c.against == "hallgren" && store == "embedded/sqlite", c.against == "eventhorizon" && store == "embedded/memory":
				want = append(want, c.name+" "+store+" against="+c.against)
			}
		}
		if store != "embedded/memory" {
			want = append(want, "memory "+store)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	if len(r.idle) != 6 {
		t.Errorf("%d uses of a feed were idle, want 6", len(r.idle))
	}
	for _, use := range r.idle {
		if use.sent.requests <= 0 {
			t.Errorf("it sent nothing: %s", use.row())
		}
	}

	markdown := r.markdown(t)
	for _, row := range r.rows() {
		if !strings.Contains(markdown, row+"\n") {
			t.Errorf("the document lacks the row %q", row)
		}
	}
	picture := xml.NewDecoder(strings.NewReader(r.plot()))
	for {
		if _, err := picture.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the picture is not XML: %v", err)
		}
	}
}

func TestEachCrewUpdatesAHotStream(t *testing.T) {
	var all []hot
	within(t, func(t testing.TB) { all = hotUpdates(t, startSQLite(t)(t), time.Nanosecond) })
	table := hotMarkdown(all)
	for i, c := range crews {
		if all[i].crew != c || all[i].perSecond <= 0 {
			t.Errorf("%v made %.0f updates a second, want those of %v", all[i].crew, all[i].perSecond, c)
		}
		if row := fmt.Sprintf("| %d | %d | embedded/sqlite | %s | %.0f |", c.processes, c.goroutines, cmp.Or(perSecond(hotBefore, "embedded/sqlite", c), "–"), all[i].perSecond); !strings.Contains(table, row) {
			t.Errorf("the table lacks the row %q:\n%s", row, table)
		}
	}
}

func TestTheDocumentChangesBetweenItsMarksOnly(t *testing.T) {
	t.Parallel()
	got, err := between("by hand\n"+beginsWith+"old\n"+endsWith+"more by hand\n", beginsWith, "new\n")
	if want := "by hand\n" + beginsWith + "new\n" + endsWith + "more by hand\n"; err != nil || got != want {
		t.Errorf("between: %q, %v, want %q", got, err, want)
	}
	for _, document := range []string{"", beginsWith, endsWith + beginsWith} {
		if _, err := between(document, beginsWith, "new\n"); err == nil {
			t.Errorf("between accepts %q, in which a mark is missing", document)
		}
	}
}

func TestASideThatDoesLessIsNoticed(t *testing.T) {
	t.Parallel()
	err := alike(t.Context(), []side{{name: "ours"}, {name: "floor"}}, []series{{name: "ours", events: 10}, {name: "floor", events: 9}}, false)
	if err == nil || !strings.Contains(err.Error(), "ours processed 10 events, floor 9") {
		t.Errorf("alike: %v", err)
	}
}

func TestAnUpdateThatIsMissingOrDoubledIsNoticed(t *testing.T) {
	t.Parallel()
	if err := eachOnce([]int{53, 51, 52}, 51, 3); err != nil {
		t.Errorf("eachOnce of all versions: %v", err)
	}
	for _, versions := range [][]int{nil, {51, 52}, {51, 52, 52}, {51, 53, 54}, {50, 51, 52}, {51, 52, 53, 54}} {
		if eachOnce(versions, 51, 3) == nil {
			t.Errorf("eachOnce accepts the versions %v", versions)
		}
	}
}

func TestQuantilesLieBetweenTheValues(t *testing.T) {
	t.Parallel()
	values := []time.Duration{40, 10, 30, 20}
	for q, want := range map[float64]time.Duration{0: 10, 0.5: 25, 0.25: 17, 1: 40} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if got := quantile([]float64{7}, 0.99); got != 7 {
		t.Errorf("quantile of one value is %v, want the value", got)
	}
}

func TestALimitIsMetAtTheLimit(t *testing.T) {
	t.Parallel()
	at := func(ratio, us float64) result { return result{ratio: ratio, ours: timing{median: us}} }
	for name, test := range map[string]struct {
		limit limit
		r     result
		met   bool
	}{
		"at the ratio":      {limit{ratio: 1.15}, at(1.15, 0), true},
		"above the ratio":   {limit{ratio: 1.15}, at(1.16, 0), false},
		"not below":         {limit{ratio: 1, below: true}, at(1, 0), false},
		"below":             {limit{ratio: 1, below: true}, at(0.99, 0), true},
		"within the time":   {limit{duration: time.Millisecond}, at(9, 1000), true},
		"later than it may": {limit{duration: time.Millisecond}, at(0, 1001), false},
	} {
		if got := test.limit.met(test.r); got != test.met {
			t.Errorf("%s: met is %t", name, got)
		}
	}
}
