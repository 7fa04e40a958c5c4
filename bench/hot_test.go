package bench

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"
)

// hotStores lists the stores on which a hot stream is measured.
var hotStores = []string{"sidecar/redis", "sidecar/postgresql", "embedded/sqlite"}

// crew says who updates one aggregate at the same time.
type crew struct {
	processes  int
	goroutines int // in each process
}

var crews = []crew{{1, 1}, {1, 4}, {1, 16}, {4, 1}, {4, 4}}

// hot says how many updates a second of one aggregate a crew made.
type hot struct {
	store string
	crew
	perSecond float64
}

// hotBefore holds the updates a second that were measured before repositories kept aggregates in
// memory and stored the updates that wait in one append.
var hotBefore = []hot{
	{"sidecar/redis", crew{1, 1}, 146},
	{"sidecar/redis", crew{1, 4}, 102},
	{"sidecar/redis", crew{1, 16}, 80},
	{"embedded/sqlite", crew{1, 1}, 469},
	{"embedded/sqlite", crew{1, 4}, 394},
	{"embedded/sqlite", crew{1, 16}, 240},
}

func (h hot) row() string {
	return fmt.Sprintf("scaling what=hot store=%s processes=%d goroutines=%d update_us=%s per_s=%.0f", h.store, h.processes, h.goroutines, digits(1e6/h.perSecond), h.perSecond)
}

// hotUpdates measures each crew for about the given time.
func hotUpdates(t testing.TB, s *store, each time.Duration) (all []hot) {
	t.Helper()
	for _, c := range crews {
		within(t, func(t testing.TB) {
			perSecond, err := newLab(t, s, full).updatesPerSecond(c, each)
			if err != nil {
				t.Fatalf("%d processes of %d goroutines on %s: %v", c.processes, c.goroutines, s.name, err)
			}
			h := hot{s.name, c, perSecond}
			fmt.Println(h.row())
			all = append(all, h)
		})
	}
	return all
}

// updatesPerSecond lets a crew update one aggregate after the other, each of them a few times.
func (l *lab) updatesPerSecond(c crew, atLeast time.Duration) (float64, error) {
	side := l.together(c.processes, c.goroutines)
	var took time.Duration
	updates := 0
	for took < atLeast {
		each, n, err := side.run(l.t.Context())
		if err != nil {
			return 0, err
		}
		took += each * time.Duration(n)
		updates += n
	}
	return float64(updates) / took.Seconds(), nil
}

// hotMarkdown returns the table of a hot stream before and now.
func hotMarkdown(all []hot) string {
	var b strings.Builder
	b.WriteString("\n| processes | goroutines in each | store | updates per second before | updates per second now |\n|---|---|---|---|---|\n")
	for _, store := range hotStores {
		for _, c := range crews {
			fmt.Fprintf(&b, "| %d | %d | %s | %s | %s |\n", c.processes, c.goroutines, store, cmp.Or(perSecond(hotBefore, store, c), "–"), cmp.Or(perSecond(all, store, c), "not measured"))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// perSecond returns how many updates a second a crew made on a store, or "" if that is not known.
func perSecond(all []hot, store string, c crew) string {
	for _, h := range all {
		if h.store == store && h.crew == c {
			return fmt.Sprintf("%.0f", h.perSecond)
		}
	}
	return ""
}
