package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	scalingDocument = "docs/scaling.md"
	hotBegins       = "<!-- the table of hot streams is written by the measurement -->\n"
)

// scalingStores lists stores that many processes can share.
var scalingStores = []string{"sidecar/redis", "sidecar/postgresql"}

// scaled is one measurement of how the cost of an append grows.
type scaled struct {
	store, what string // "payload", "writers" or "hotstream"
	n           int    // bytes, or writers
	perSecond   float64
	us          float64 // median of one append
	sidecarUS   float64 // CPU time of the sidecar per append
}

func (s scaled) row() string {
	return fmt.Sprintf("scaling what=%s store=%s n=%d append_us=%s per_s=%.0f sidecar_cpu_us=%s", s.what, s.store, s.n, digits(s.us), s.perSecond, digits(s.sidecarUS))
}

// BenchmarkScaling measures how the cost of an append grows with the payload, with the number of
// writers, and with the number of writers on one stream. It also measures how many updates a second
// one aggregate takes. `make scaling` runs it.
func BenchmarkScaling(b *testing.B) {
	fmt.Println() // the testing package has started a line
	b.ReportMetric(0, "ns/op")
	var all []scaled
	var hot []hot
	for _, k := range kinds {
		isScaled, isHot := slices.Contains(scalingStores, k.name), slices.Contains(hotStores, k.name)
		if !isScaled && !isHot {
			continue
		}
		within(b, func(t testing.TB) {
			s := k.start(t)(t)
			if isScaled {
				all = append(all, scaling(t, newLab(t, s, full), *timeFlag)...)
			}
			if isHot {
				hot = append(hot, hotUpdates(t, s, *timeFlag)...)
			}
		})
	}
	if *writeFlag {
		root := must(servers.Root())(b)
		path := filepath.Join(root, filepath.FromSlash(scalingDocument))
		text, err := between(read(b, path), hotBegins, hotMarkdown(hot))
		if err == nil {
			text, err = between(text, beginsWith, scalingMarkdown(all, hot))
		}
		if err == nil {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			b.Fatalf("%s: %v", scalingDocument, err)
		}
		fmt.Printf("\nwritten: %s\n", scalingDocument)
	}
}

func scaling(t testing.TB, l *lab, each time.Duration) (all []scaled) {
	t.Helper()
	note := func(what string, n int, m measured) {
		s := scaled{store: l.name, what: what, n: n, perSecond: m.perSecond(), us: micros(quantile(m.took, 0.5)), sidecarUS: m.sidecarUS()}
		fmt.Println(s.row())
		all = append(all, s)
	}
	for _, bytes := range []int{128, 512, 4 << 10, 32 << 10, 256 << 10} {
		note("payload", bytes, l.appends(t, each, 1, func(int) string { return "payload" + strconv.Itoa(bytes) }, bytes))
	}
	for _, writers := range []int{1, 4, 16, 64} {
		note("writers", writers, l.appends(t, each, writers, func(i int) string { return fmt.Sprintf("own-%d-%d", writers, i) }, payloadBytes))
	}
	for _, writers := range []int{1, 4, 16} {
		note("hotstream", writers, l.appends(t, each, writers, func(int) string { return fmt.Sprintf("hot-%d", writers) }, payloadBytes))
	}
	return all
}

// measured is what a group of writers did.
type measured struct {
	took []time.Duration // of each append that succeeded
	in   time.Duration
	cpu  time.Duration // of the sidecar
}

func (m measured) perSecond() float64 { return float64(len(m.took)) / m.in.Seconds() }
func (m measured) sidecarUS() float64 { return micros(m.cpu) / float64(len(m.took)) }

// appends lets writers append to their streams as fast as they can, without a lock. A writer that
// another writer overtakes opens a session again. Its append takes as long as all of its tries.
func (l *lab) appends(t testing.TB, d time.Duration, writers int, stream func(writer int) string, bytes int) measured {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	name := newName()
	payload := eventstore.Raw{Type: "e", ContentType: "text/plain", Payload: []byte(strings.Repeat("x", bytes))}
	var (
		m       measured
		mu      sync.Mutex
		all     sync.WaitGroup
		failure error
	)
	cpu, began := sidecarCPU(t), time.Now()
	for i := range writers {
		all.Go(func() {
			var took []time.Duration
			var session *eventstore.Session
			var err error
			for start := began; start.Sub(began) < d && err == nil; {
				if session == nil {
					if session, err = l.events.Open(ctx, l.events.Stream(aggregate, name+stream(i)), eventstore.Shared()); err != nil {
						break
					}
				}
				_, err = session.Append(ctx, eventstore.ExpectAny(), payload)
				if errors.As(err, new(*eventstore.VersionMismatchError)) || errors.As(err, new(*eventstore.SessionLostError)) {
					session, err = nil, nil
					continue
				}
				took = append(took, time.Since(start))
				start = time.Now()
			}
			mu.Lock()
			defer mu.Unlock()
			m.took = append(m.took, took...)
			failure = errors.Join(failure, err)
		})
	}
	all.Wait()
	m.in, m.cpu = time.Since(began), sidecarCPU(t)-cpu
	if failure != nil {
		t.Fatal(failure)
	}
	return m
}

// sidecarCPU returns the CPU time that the sidecars of this test have used, as Linux counts it.
func sidecarCPU(t testing.TB) time.Duration {
	t.Helper()
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all common machines
	total := time.Duration(0)
	for _, path := range must(filepath.Glob("/proc/[0-9]*/cmdline"))(t) {
		line, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(line), "--app-id\x00bench\x00") {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(path), "stat"))
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(after)
		for _, n := range []int{11, 12} { // utime and stime
			ticks := must(strconv.Atoi(fields[n]))(t)
			total += time.Duration(ticks) * tick
		}
	}
	if total == 0 {
		t.Fatal("no sidecar found in /proc: set EVENTSTORES_SERVERS=process to run sidecars as processes")
	}
	return total
}

// The system that the arithmetic is done for.
const (
	targetStreams   = 1_000_000
	targetPerSecond = 100_000
	recordBytes     = 850 // an event of 512 bytes with its header
	headBytes       = 200
	eventsAStream   = 100
	sidecarLoad     = 0.6 // of a core, which leaves room for peaks
)

// scalingMarkdown returns the measurements for the document, and the arithmetic that follows from
// them.
func scalingMarkdown(all []scaled, hot []hot) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("\nMeasured on %s on the machine of [benchmarks.md](benchmarks.md). Client, sidecar and store share\nits 2 cores.\n", time.Now().UTC().Format("2 January 2006"))
	titles := map[string]string{"payload": "bytes of payload, one writer", "writers": "writers, each on its own stream", "hotstream": "writers on one stream, without a lock"}
	for _, what := range []string{"payload", "writers", "hotstream"} {
		line("| %s | store | time of an append | appends per second | sidecar CPU per append |\n|---|---|---|---|---|", titles[what])
		for _, s := range all {
			if s.what == what {
				line("| %d | %s | %s | %.0f | %s |", s.n, s.store, human(s.us), s.perSecond, human(s.sidecarUS))
			}
		}
		line("")
	}
	line("### A million streams, 100,000 appends per second\n")
	line("The table uses the CPU time that a sidecar takes per append with 16 writers. Sidecars are kept at\n%.0f %% of a core.\n", 100*sidecarLoad)
	line("| store | appends per second of one sidecar on one core | sidecars for %d appends per second |\n|---|---|---|", targetPerSecond)
	for _, s := range all {
		if s.what == "writers" && s.n == 16 {
			perCore := 1e6 / s.sidecarUS * sidecarLoad
			line("| %s | %.0f | %.0f |", s.store, perCore, math.Ceil(targetPerSecond/perCore))
		}
	}
	events := float64(targetStreams) * eventsAStream
	line("\n%d streams of %d events of %d bytes, with a head of about %d bytes each, take\n%.0f million keys and %.0f GB, without the store's overhead for each key.",
		targetStreams, eventsAStream, recordBytes, headBytes, (events+targetStreams)/1e6, (events*recordBytes+targetStreams*headBytes)/1e9)
	line("At %d appends per second the store grows by %.1f TB a day. Each stream gets %.1f appends per\nminute.\n",
		targetPerSecond, targetPerSecond*recordBytes*86400/1e12, float64(targetPerSecond)/targetStreams*60)
	line("```")
	for _, s := range all {
		line("%s", s.row())
	}
	for _, h := range hot {
		line("%s", h.row())
	}
	line("```\n")
	return b.String()
}
