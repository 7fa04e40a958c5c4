package chaos

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/integration/servers"
)

var (
	duration = flag.Duration("duration", 0, "how long to go on with each store; 0: until -appends and -faults are reached")
	appends  = flag.Int("appends", 2000, "end with a store when so many appends were acknowledged, or half as many transfers, and -faults injected; 0: not before -duration")
	faults   = flag.Int("faults", 20, "see -appends")
	writers  = flag.Int("writers", 3, "how many writer processes, each with a sidecar")
	seed     = flag.Uint64("seed", 0, "decides which faults come, and what the writers do; 0: another each time")
)

// limit is how long a run may take to reach its counts, unless -duration is set.
const limit = 8 * time.Minute

func TestMain(m *testing.M) {
	for variable, main := range map[string]func(){
		writerVariable: write, auditorVariable: audit,
		indexerVariable: index, followerVariable: follow, feedAuditorVariable: auditFeed,
		tellerVariable: tell, keeperVariable: keepPages, moverVariable: moveMoney, receiverVariable: receive, booksVariable: auditBooks,
	} {
		if os.Getenv(variable) != "" {
			main()
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// store is the store under test in a run.
type store struct {
	kind       string
	part       *servers.Part
	addr       string
	components func(addr string) []string // of a sidecar that reaches the store at that address
	sessions   []sessions                 // for the writers, in turn
	broker     *servers.Redis             // for messages, if it is the store or a run has started one
}

func TestNothingAcknowledgedIsLostTornOrDoubledWhateverDies(t *testing.T) {
	onStores(t, chaos)
}

// onStores runs a test on each store.
func onStores(t *testing.T, test func(*testing.T, store)) {
	if *duration == 0 && *appends == 0 {
		t.Fatal("set -duration or -appends")
	}
	t.Run("Redis", func(t *testing.T) {
		r := servers.StartRedis(t, servers.Durable())
		test(t, store{
			kind: "state.redis", part: r.Part, addr: r.Addr, broker: r,
			components: func(addr string) []string {
				return []string{servers.RedisState("statestore", r.Through(addr)), servers.RedisLock("lockstore", r.Through(addr))}
			},
			sessions: []sessions{byLock, byLease, byNone},
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		p := servers.StartPostgres(t)
		test(t, store{
			kind: "state.postgresql", part: p.Part, addr: p.Addr,
			components: func(addr string) []string {
				return []string{servers.PostgresState("statestore", p.Through(addr), "v2")}
			},
			sessions: []sessions{byLease, byNone}, // Dapr has no lock component on it
		})
	})
}

// run is one run of a test: a store with the processes that use it.
type run struct {
	t        *testing.T
	name     string // of the test, for what it prints
	store    store
	seed     uint64
	history  *history
	enough   int        // acknowledged appends, or what counts as such
	stations []*station // those that have faults
	trouble  trouble
}

func chaos(t *testing.T, s store) {
	r := newRun(t, "chaos", s)
	for i := range *writers {
		r.man("writer", i, func(at *station) (*child, error) {
			return startChild(t, writerVariable, r.writer(at), r.history.follow)
		})
	}
	r.disturb()
	r.end(r.stations)
	r.progress("reading the streams")
	found := r.audit()
	r.progress("judging")
	r.judge(found)
}

func newRun(t *testing.T, name string, s store) *run {
	r := &run{t: t, name: name, store: s, seed: *seed, enough: *appends, history: newHistory()}
	if r.seed == 0 {
		r.seed = rand.Uint64() >> 32
	}
	r.trouble = trouble{began: time.Now(), busy: map[string]bool{}}
	return r
}

// writer returns the configuration of a writer process. After each restart the writer has another
// name.
func (r *run) writer(at *station) writerConfig {
	return writerConfig{
		Name:         fmt.Sprintf("w%d.%d", at.number, at.restarts),
		Sidecar:      at.toSidecar.addr(),
		Sessions:     at.sessions(),
		Seed:         at.seed(),
		Generations:  r.history.generations(slots),
		StreamEvents: streamEvents,
	}
}

// disturb injects faults until the run has reached its counts or its duration.
func (r *run) disturb() {
	ctx, cancel := context.WithCancel(context.Background())
	var making sync.WaitGroup
	making.Go(func() { r.trouble.make(ctx, r, rand.New(rand.NewPCG(r.seed, 0))) })
	defer func() {
		cancel()
		making.Wait()
		r.trouble.all.Wait()
		if _, err := r.trouble.count(); err != nil {
			r.t.Fatalf("seed %d: %v\n%s", r.seed, err, r.faultList())
		}
	}()
	last := *duration
	if last == 0 {
		last = limit
	}
	end := time.NewTimer(last)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-tick.C:
		case <-minute.C:
			r.progress("writing")
		case <-end.C:
			if *duration == 0 {
				acked, _ := r.history.count()
				n, _ := r.trouble.count()
				r.t.Errorf("seed %d: after %s %d appends were acknowledged and %d faults injected, want %d and %d", r.seed, limit, acked, n, r.enough, *faults)
			}
			return
		}
		acked, wrong := r.history.count()
		n, err := r.trouble.count()
		if len(wrong) > 0 || err != nil || r.enough > 0 && acked >= r.enough && n >= *faults {
			return
		}
	}
}

// end lets processes end, and then stops everything that may still have requests under way.
func (r *run) end(stations []*station) {
	for _, at := range stations {
		_ = at.process.stdin.Close()
	}
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	for _, at := range stations {
		select {
		case <-at.process.done:
			if at.process.err != nil {
				r.t.Errorf("%s: %v", at.name, at.process.err)
			}
		case <-patience.C:
			r.t.Fatalf("%s does not end", at.name)
		}
		at.toSidecar.cut()
		at.sidecar.Kill(r.t)
		at.toStore.cut()
		if at.toBroker != nil && at.toBroker != at.toStore {
			at.toBroker.cut()
		}
	}
}

// audit starts a new process with a new sidecar, which reads all streams.
func (r *run) audit() map[string]audited {
	d := servers.StartDaprd(r.t, servers.DaprdConfig{AppID: "auditor", Components: r.store.components(r.store.addr)})
	found := map[string]audited{}
	config := auditConfig{Sidecar: d.GRPCAddr(), Streams: slices.Sorted(maps.Keys(r.history.streams))}
	auditor, err := startChild(r.t, auditorVariable, config, readAudit(found))
	if err != nil {
		r.t.Fatal(err)
	}
	<-auditor.done
	if auditor.err != nil {
		r.t.Fatalf("the auditor: %v", auditor.err)
	}
	return found
}

// judge compares what the writers were told with what the auditor found, and prints the result
// line.
func (r *run) judge(found map[string]audited) {
	took := time.Since(r.trouble.began)
	names := slices.Sorted(maps.Keys(r.history.streams))
	verdicts := make([]verdict, len(names))
	onAllCores(len(names), func(i int) {
		a, ok := found[names[i]]
		verdicts[i] = judge(r.history.streams[names[i]], a.Events)
		if !ok {
			verdicts[i].complain(nil, "the auditor did not report this stream")
		}
		if a.Error != "" {
			verdicts[i].complain(nil, "the auditor found: %s", a.Error)
		}
	})
	var total verdict
	unsound := 0
	for i, v := range verdicts {
		total.add(v)
		if v.sound() {
			continue
		}
		if unsound++; unsound <= 3 {
			r.t.Errorf("seed %d, stream %s:\n\t%s\n%s", r.seed, names[i], strings.Join(v.complaints, "\n\t"), r.history.streams[names[i]])
		}
	}
	if unsound > 0 {
		r.t.Errorf("seed %d: %d of %d streams are wrong. The faults were:\n%s", r.seed, unsound, len(names), r.faultList())
	}
	for _, wrong := range r.history.broken {
		r.t.Errorf("seed %d: %s", r.seed, wrong)
	}
	acked, notAcked, refusals := r.history.outcomes()
	n, _ := r.trouble.count()
	r.printFaults()
	fmt.Printf("chaos store=%s appends acked=%d unknown=%d faults=%d lost=%d torn=%d doubled=%d linearizable=%t changed=%d refused=%d reads=%d streams=%d seconds=%.0f seed=%d\n",
		r.store.kind, acked, notAcked, n, total.lost, total.torn, total.doubled, !total.notLinearizable, total.changed, refusals, r.history.reads, len(names), took.Seconds(), r.seed)
	if acked == 0 || n == 0 || r.history.reads == 0 {
		r.t.Errorf("seed %d: the run is too short: %d appends were acknowledged, %d faults injected, %d reads made", r.seed, acked, n, r.history.reads)
	}
}

// onAllCores calls do with the numbers below n, several at a time.
func onAllCores(n int, do func(i int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// progress tells what a long run does from now on.
func (r *run) progress(doing string) {
	acked, _ := r.history.count()
	n, _ := r.trouble.count()
	fmt.Printf("%s store=%s after=%.0fs acked=%d faults=%d %s\n", r.name, r.store.kind, time.Since(r.trouble.began).Seconds(), acked, n, doing)
}

// printFaults prints how often each kind of fault came. In a run that ends by counts, each has to
// come.
func (r *run) printFaults() {
	n, _ := r.trouble.count()
	kinds, missing := r.trouble.kinds()
	fmt.Printf("%s faults store=%s %s\n", r.name, r.store.kind, strings.Join(kinds, " "))
	if *duration == 0 && len(missing) > 0 && n >= 2*len(faultKinds) {
		r.t.Errorf("seed %d: none of the %d faults was of these kinds: %s", r.seed, n, strings.Join(missing, ", "))
	}
}

func (r *run) faultList() string {
	var list strings.Builder
	for _, f := range r.trouble.faults {
		fmt.Fprintln(&list, "\t", f)
	}
	return list.String()
}

// add adds the counts of another verdict to v.
func (v *verdict) add(other verdict) {
	v.lost += other.lost
	v.torn += other.torn
	v.doubled += other.doubled
	v.changed += other.changed
	v.notLinearizable = v.notLinearizable || other.notLinearizable
}

// outcomes counts the appends by how they ended.
func (h *history) outcomes() (acked, notKnown, refusals int) {
	for _, a := range h.byName {
		switch a.outcome {
		case acknowledged:
			acked++
		case unknown:
			notKnown++
		case refused:
			refusals++
		}
	}
	return acked, notKnown, refusals
}
