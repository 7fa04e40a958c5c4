package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	keepers = 3
	movers  = 2
)

func TestModelsMessagesAndMoneyAreRightWhateverDies(t *testing.T) {
	onStores(t, modelsChaos)
}

// modelsChaos is a run of a bank. Tellers pay money into accounts, send it to others, and close
// accounts. Indexers make the log of a feed. Keepers share a projection and a publication, movers
// share the process that makes the transfers, and a receiver gets what is published. When the
// faults are over, everything must agree.
func modelsChaos(t *testing.T, s store) {
	if s.broker == nil {
		s.broker = servers.StartRedis(t, servers.Durable())
	}
	r := newRun(t, "models", s)
	r.enough = *appends / 2
	for i := range *writers {
		r.man("teller", i, func(at *station) (*child, error) {
			config := r.writer(at)
			config.Feed, config.StreamEvents = feedName, accountEvents
			return startChild(t, tellerVariable, config, r.history.follow)
		})
	}
	service := func(kind, variable string, number int, toBroker bool) *station {
		return r.station(kind, number, toBroker, func(at *station) (*child, error) {
			config := feedConfig{Name: fmt.Sprintf("%s%d.%d", kind, number, at.restarts), Sidecar: at.toSidecar.addr(), Sessions: s.sessions[0], Seed: at.seed()}
			return startChild(t, variable, config, r.history.follow)
		})
	}
	var services []*station
	for i := range indexers {
		services = append(services, service("indexer", indexerVariable, i, false))
	}
	for i := range movers {
		services = append(services, service("mover", moverVariable, i, false))
	}
	for i := range keepers {
		services = append(services, service("keeper", keeperVariable, i, true))
	}
	tellers := slices.Clone(r.stations)
	r.stations = append(r.stations, services...)
	receiver := service("receiver", receiverVariable, 0, true) // only the store and the broker die
	r.disturb()
	r.end(tellers)
	r.progress("waiting until all is done")
	r.auditBooks(true)
	r.end(services)
	r.progress("reading the books")
	final := r.auditBooks(false)
	r.awaitMessages(final)
	r.end([]*station{receiver})
	r.progress("judging")
	r.judgeBooks(final)
}

// auditBooks starts a new process with a new sidecar, which reads everything that the bank has.
func (r *run) auditBooks(await bool) (found books) {
	d := servers.StartDaprd(r.t, servers.DaprdConfig{AppID: "books-auditor", Components: r.store.components(r.store.addr)})
	defer d.Kill(r.t)
	config := booksConfig{feedConfig{Sidecar: d.GRPCAddr(), Sessions: byNone}, r.store.broker.Addr, r.history.generations(slots), await}
	auditor, err := startChild(r.t, booksVariable, config, readBooks(&found))
	if err != nil {
		r.t.Fatal(err)
	}
	<-auditor.done
	if auditor.err != nil {
		r.t.Fatalf("the auditor of the bank: %v", auditor.err)
	}
	return found
}

// awaitMessages waits until the receiver has got all messages. It gives up when nothing has come
// for long.
func (r *run) awaitMessages(b books) {
	for count, since := 0, time.Now(); time.Since(since) < quiet; time.Sleep(100 * time.Millisecond) {
		r.history.mu.Lock()
		now := len(r.history.got)
		missing := slices.ContainsFunc(b.Messages, func(m message) bool { return len(r.history.got[m.ID]) == 0 })
		r.history.mu.Unlock()
		if !missing {
			return
		}
		if now != count {
			count, since = now, time.Now()
		}
	}
}

// judgeBooks judges everything, and prints the result line.
func (r *run) judgeBooks(b books) {
	took := time.Since(r.trouble.began)
	v := judgeBooks(b)
	v.judgeOperations(b, r.history.ops)
	received, again := v.judgeReceived(b, r.history.got)
	wrong := append(v.complaints, r.history.broken...)
	if len(wrong) > 0 {
		shown := wrong[:min(len(wrong), 30)]
		r.t.Errorf("seed %d, %d are wrong:\n\t%s\nsubscriptions stopped:\n\t%s\nfaults:\n%s", r.seed, len(wrong),
			strings.Join(shown, "\n\t"), strings.Join(r.history.stops, "\n\t"), r.faultList())
	}
	r.printFaults()
	n, _ := r.trouble.count()
	acked, unknown := 0, 0
	for _, o := range r.history.ops {
		switch o.Outcome {
		case acknowledged:
			acked++
		case refused:
		default:
			unknown++
		}
	}
	accounts, events := 0, 0
	for _, s := range b.Streams {
		events += len(s.Events)
		if s.Stream.Type == accountType {
			accounts++
		}
	}
	fmt.Printf("models %s transfers=%d completed=%d returned=%d held=%d documents=%d published=%d repeated=%d faults=%d wrong=%d money=%s paid=%d received=%d again=%d acked=%d unknown=%d accounts=%d events=%d retried=%d stopped=%d seconds=%.0f seed=%d\n",
		r.store.kind, v.transfers, v.completed, v.returned, v.held, v.documents, v.published, v.repeated, n, len(wrong), v.money(),
		v.paid, received, again, acked, unknown, accounts, events, r.history.retried, len(r.history.stops), took.Seconds(), r.seed)
	if v.completed == 0 || v.returned == 0 || n == 0 {
		r.t.Errorf("seed %d: the run is too short: %d transfers were completed, %d returned, %d faults injected", r.seed, v.completed, v.returned, n)
	}
}
