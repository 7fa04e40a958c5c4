package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	feedName         = "all"
	feedStreamEvents = 60 // streams are short, so that many begin and end
	indexers         = 2
	followers        = 3

	// quiet is how long the run waits for the next delivery at its end. Whatever is missing then is
	// missed.
	quiet = 2 * time.Minute
)

func TestEveryCommitIsFollowedInOrderWhateverDies(t *testing.T) {
	onStores(t, feedChaos)
}

// feedChaos is a run with a feed. Writers append to streams, and close and delete them. Indexers
// make the log, and followers share a subscription. When the faults are over, everything that the
// streams hold must be in the log, in the catalogue, and delivered.
func feedChaos(t *testing.T, s store) {
	r := newRun(t, "feed", s)
	for i := range *writers {
		r.man("writer", i, func(at *station) (*child, error) {
			config := r.writer(at)
			config.Feed, config.StreamEvents, config.Mixed = feedName, feedStreamEvents, i == *writers-1
			return startChild(t, writerVariable, config, r.history.follow)
		})
	}
	for i := range indexers {
		r.man("indexer", i, func(at *station) (*child, error) {
			config := feedConfig{Name: fmt.Sprintf("i%d.%d", i, at.restarts), Sidecar: at.toSidecar.addr(), Sessions: s.sessions[0]}
			return startChild(t, indexerVariable, config, r.history.follow)
		})
	}
	for i := range followers {
		r.man("follower", i, func(at *station) (*child, error) {
			config := feedConfig{Name: fmt.Sprintf("f%d.%d", i, at.restarts), Sidecar: at.toSidecar.addr(), Sessions: s.sessions[0], Seed: at.seed()}
			return startChild(t, followerVariable, config, r.history.follow)
		})
	}
	writing, indexing, following := r.stations[:*writers], r.stations[*writers:*writers+indexers], r.stations[*writers+indexers:]
	r.disturb()
	r.end(writing)
	r.progress("reading the streams")
	final := r.audit()
	r.progress("waiting for deliveries")
	complete := r.awaitDeliveries(final, nil)
	r.end(indexing)
	r.progress("reading the feed")
	log := r.auditFeed()
	if complete {
		r.awaitDeliveries(final, log)
	}
	r.end(following)
	r.progress("judging")
	r.judgeFeed(final, log)
}

// awaitDeliveries waits until the followers have got everything that the feed must have, or that it
// has once the log is known. It gives up when nothing has come for long, and leaves the rest to the
// verdict.
func (r *run) awaitDeliveries(final map[string]audited, log map[string]logged) (complete bool) {
	pending := slices.Sorted(maps.Keys(final))
	count, since := 0, time.Now()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		<-tick.C
		r.history.mu.Lock()
		now, broken := r.history.deliveries, len(r.history.broken)
		pending = slices.DeleteFunc(pending, func(name string) bool {
			h := r.history.streams[name]
			return len(missing(commitsOf(h, final[name], log[name]), h.deliveries)) == 0
		})
		r.history.mu.Unlock()
		if now != count {
			count, since = now, time.Now()
		}
		if len(pending) == 0 || broken > 0 || time.Since(since) > quiet {
			return len(pending) == 0
		}
	}
}

// auditFeed starts a new process with a new sidecar, which reads the log and the catalogue.
func (r *run) auditFeed() map[string]logged {
	d := servers.StartDaprd(r.t, servers.DaprdConfig{AppID: "feed-auditor", Components: r.store.components(r.store.addr)})
	found := map[string]logged{}
	auditor, err := startChild(r.t, feedAuditorVariable, feedConfig{Sidecar: d.GRPCAddr(), Sessions: byNone}, readFeedAudit(found))
	if err != nil {
		r.t.Fatal(err)
	}
	<-auditor.done
	if auditor.err != nil {
		r.t.Fatalf("the auditor of the feed: %v", auditor.err)
	}
	return found
}

// judgeFeed compares the streams, the log, the catalogue, and what the followers got, and prints
// the result line.
func (r *run) judgeFeed(final map[string]audited, log map[string]logged) {
	took := time.Since(r.trouble.began)
	names := maps.Clone(r.history.streams)
	for name := range log {
		if names[name] == nil {
			names[name] = &streamHistory{}
		}
	}
	sorted := slices.Sorted(maps.Keys(names))
	verdicts := make([]feedVerdict, len(sorted))
	onAllCores(len(sorted), func(i int) {
		name := sorted[i]
		h := names[name]
		verdicts[i] = judgeFeed(h, final[name], log[name])
		if !final[name].Deleted {
			verdicts[i].complaints = append(verdicts[i].complaints, judge(h, final[name].Events).complaints...)
		}
	})
	var total feedVerdict
	unsound, touched, outside, gone := 0, 0, 0, 0
	for i, name := range sorted {
		h, v := names[name], verdicts[i]
		if final[name].Deleted {
			gone++
		}
		if h.mixed {
			touched++
		}
		if v.outside {
			outside++
		}
		total.add(v)
		if len(v.complaints) == 0 {
			continue
		}
		unsound++
		r.t.Errorf("seed %d, stream %s:\n\t%s", r.seed, name, strings.Join(v.complaints, "\n\t"))
		if unsound <= 3 {
			r.t.Logf("the history of stream %s:\n%s%s", name, h, h.delivered())
		}
	}
	if unsound > 0 {
		r.t.Errorf("seed %d: %d of %d streams are wrong. The faults were:\n%s", r.seed, unsound, len(names), r.faultList())
	}
	for _, wrong := range r.history.broken {
		r.t.Errorf("seed %d: %s", r.seed, wrong)
	}
	r.printFaults()
	acked, notAcked, _ := r.history.outcomes()
	n, _ := r.trouble.count()
	fmt.Printf("feed %s committed=%d logged=%d delivered=%d redelivered=%d faults=%d missed=%d disordered=%d doubled=%d unlisted=%d acked=%d unknown=%d events=%d again=%d streams=%d mixed=%d outside=%d deleted=%d seconds=%.0f seed=%d\n",
		r.store.kind, total.committed, total.logged, total.delivered, total.redelivered, n, total.missed, total.disordered, total.doubled, total.unlisted,
		acked, notAcked, total.events, total.again, len(names), touched, outside, gone, took.Seconds(), r.seed)
	if acked == 0 || n == 0 || total.delivered == 0 {
		r.t.Errorf("seed %d: the run is too short: %d appends were acknowledged, %d faults injected, %d commits delivered", r.seed, acked, n, total.delivered)
	}
}
