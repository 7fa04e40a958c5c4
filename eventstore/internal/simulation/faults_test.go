package simulation

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// planted is a fault in the event store's code: it leaves out a rule of the protocol.
type planted struct {
	rule     string // number, as in ARCHITECTURE.md, a step of an update there, or together: of appends in one commit
	fault    string
	old, new string // a text that the code has once, and what replaces it
}

var faults = []planted{
	{"1", "the head is written without a condition",
		"if err := w.sending(w.state.Swap(ctx, w.keys.partition, driver.Swap{Key: w.keys.head(), Value: next.encode(w.keys.partition), ETag: w.etag})); err != nil {",
		"_, e, _ := w.readHead(ctx, \"\")\n\tif err := w.state.Swap(ctx, w.keys.partition, driver.Swap{Key: w.keys.head(), Value: next.encode(w.keys.partition), ETag: e}); err != nil {"},
	{"1", "any head is taken over together with its ETag",
		"\t\tcase !w.shared:\n\t\t\treturn actual, errMoved\n\t\t}\n\t\tw.take(h, etag)", "\t\t}\n\t\tw.etag, w.fresh, w.told = etag, true, time.Now()"},
	{"1", "an ETag is counted on after a failure",
		"\terr = w.try(ctx, c)\n\tif err != nil {", "\terr = w.try(ctx, c)\n\tif err != nil {\n\t\tw.written(head{version: c.version(), first: w.head.first, commit: c.id, tail: c.events})\n\t\treturn nil"},
	{"1", "a head that is older than the known one is taken over",
		"case h.version < w.head.version: // a stale read\n\t\t\tcontinue", "case h.version < w.head.version: // a stale read\n\t\t\tw.adopt(h, etag, sent)"},
	{"1", "an ETag that can come back is used however old it is",
		"return w.fresh && (w.caps.UniqueETags || time.Since(w.told) < etagTrust)", "return w.fresh"},
	{"1", "a head of the known version is taken for the known head",
		"return h.commit == w.head.commit\n\t}\n\t_, ours", "return true\n\t}\n\t_, ours"},
	{"1", "a shared session continues without checking that what it knew is still there",
		"case !follows:", "case !follows && false:"},
	{"2", "events are written before the commit",
		"\tnext.tail = append(w.carry()", "\t_ = w.state.Write(ctx, w.keys.partition, w.eventWrites(c.events))\n\tnext.tail = append(w.carry()"},
	{"3", "the head carries no tail",
		"\tnext.tail = append(w.carry(), c.events...)\n\tif err", "\tif err"},
	{"3", "an event that was sent is taken for stored",
		"\"count\", len(w.unsettled), \"error\", err)\n\t\t\treturn\n", "\"count\", len(w.unsettled), \"error\", err)\n\t\t\tw.unsettled, w.known = nil, time.Now()\n"},
	{"3", "a later commit does not carry events that are not known to be stored",
		"next.tail = append(w.carry(), c.events...)", "next.tail = c.events"},
	{"3", "a transaction does not include the tail that it replaces",
		"w.eventWrites(append(w.carry(), c.events...))", "w.eventWrites(c.events)"},
	{"3", "the tail found when opening is taken for stored",
		"told: time.Now(), unsettled: o.head.tail,", "told: time.Now(), known: time.Now(),"},
	{"3", "what was stored before the store restarted is taken for still stored",
		"return at.Sub(w.known) < etagTrust", "return !w.known.IsZero()"},
	{"3", "the tail of another writer's head is taken for stored",
		"\t\tw.take(h, etag)\n\t}\n\tswitch {", "\t\tw.take(h, etag)\n\t\tw.unsettled = nil\n\t}\n\tswitch {"},
	{"4", "another attempt writes other bytes",
		"if last = w.makeRoom(ctx, c); last == nil {", "c.id += \"x\"\n\t\t\tif last = w.makeRoom(ctx, c); last == nil {"},
	{"5", "an item of a bulk read that failed is taken for absent",
		"if item.Err != nil {", "if false {"},
	{"5", "a key that a bulk read may have missed is taken for absent",
		"if !h.caps.BulkMisses {\n\t\treturn nil\n\t}\n\tctx, stop", "if true {\n\t\treturn nil\n\t}\n\tctx, stop"},
	{"6", "an append whose answer was lost is not looked up",
		"if refused(err) {\n\t\t\treturn w.failed(\"append\", err)", "if true {\n\t\t\treturn w.failed(\"append\", err)"},
	{"6", "an append whose answer was lost is done again as a new one",
		"case hd.commit == id:\n\t\t\treturn lookedUp{OutcomeCommitted, hd, etag}, nil", "case hd.commit == id:\n\t\t\treturn lookedUp{OutcomeRejected, hd, etag}, nil"},
	{"6", "a missing event is taken for another writer's",
		"case !found: // missing is never \"not ours\"\n\t\t\tcontinue", "case !found:\n\t\t\treturn lookedUp{OutcomeRejected, hd, etag}, nil"},
	{"6", "a head that is still at the base version is taken for a mismatch",
		"case hd.version == base:\n\t\t\treturn lookedUp{OutcomePending, hd, etag}, nil", "case hd.version == base:\n\t\t\treturn lookedUp{OutcomeRejected, hd, etag}, nil"},
	{"6", "an append is tried again on a base that has changed",
		"case hd.version == base && c.after != \"\" && c.after != hd.commit:", "case false:"},
	{"7", "a missing head is not read again",
		"headItem, err := h.get(ctx, operation, h.keys.head())\n\t\tif err != nil", "headItem, err := driver.Item{}, error(nil)\n\t\tif err != nil"},
	{"8", "the lock is trusted: the head is swapped on whatever ETag it has now",
		"swap := driver.Swap{Key: w.keys.head(), Value: next.encode(w.keys.partition), ETag: w.etag}\n\t\tif err := w.sending(",
		"_, e, _ := w.readHead(ctx, \"\")\n\t\tswap := driver.Swap{Key: w.keys.head(), Value: next.encode(w.keys.partition), ETag: e}\n\t\tif err := w.sending("},
	{"8", "a lock that is reported as taken is believed to be another session's",
		"if taken, err := q.taken(ctx, lock.Holder); taken || err != nil {\n\t\t\treturn at, false, err\n\t\t}",
		"if q.holder = lock.Holder; true {\n\t\t\treturn at, false, nil\n\t\t}"},
	{"8", "a lock that is gone when it is released is believed to be lost",
		"\ttells := tellsOfLoss(s.locker)", "\ttells := true"},
	{"8", "a session that gave up on the lock is forgotten",
		"q.abandoned = append(q.abandoned, abandoned{owner, now.Add(2 * sessionTimeout)})", ""},
	{"8", "a lease that the first of two deliveries released is believed to be lost",
		"return status, nil // the answer was lost", "return driver.LockAbsent, nil // the answer was lost"},
	{"9", "a command that is delivered twice gets a mismatch",
		"if len(ids) == 0 {\n\t\treturn mismatch", "if true {\n\t\treturn mismatch"},
	{"9", "idempotency is not checked in the head's tail",
		"if r.idempotencyID == id && r.version >= h.first {", "if false {"},
	{"9", "idempotency is not checked under its key",
		"if versions[i], err = h.versionFromKey(hd, id, items[i]); err != nil {", "items[i].ETag = \"\"\n\t\tif versions[i], err = h.versionFromKey(hd, id, items[i]); err != nil {"},
	{"9", "an idempotency id that a bulk read may have missed is taken for unused",
		"writes[i].IfAbsent = created[writes[i].Key]", "writes[i].IfAbsent = false"},
	{"9", "an idempotency key is not written with its event",
		"if r.idempotencyID != \"\" {\n\t\t\twrites = append(", "if false {\n\t\t\twrites = append("},
	{"10", "an append continues on a closed stream",
		"case hd.version == base && hd.closed:\n\t\t\treturn lookedUp{OutcomeRejected, hd, etag}, nil\n\t\t", ""},
	{"10", "closing a stream drops events that only its head carries",
		"next.closed, next.tail = true, w.carry()", "next.closed, next.tail = true, nil"},
	{"10", "the versions of a deleted stream start again",
		"version := now.version + 1", "version := int64(1)"},
	{"10", "a stream counts as swept before its events were removed",
		"if h.swept {", "if h.deleted {"},
	{"10", "events left by a deleted stream are read",
		"\t\terr = r.handle.deletedError(v.head)\n", "\t\t_ = v\n"},
	{"3", "a head drops events of its tail that were left for later",
		"if len(w.unsettled) > 0 && !w.tailIsFull() {\n\t\treturn\n\t}", "if len(w.unsettled) > 0 && !w.tailIsFull() {\n\t\tw.unsettled, w.known = nil, time.Now()\n\t\treturn\n\t}"},
	{"3", "at the end of a session, events are written without a look at the head",
		"err := w.seen(ctx, \"close\")\n", "var err error\n"},
	{"11", "a tail is dropped before its events are known to be stored",
		"if len(w.head.tail) == 0 || len(w.unsettled) > 0 {", "if len(w.head.tail) == 0 {"},
	{"12", "a snapshot is saved of events that the store has lost",
		"if hd.version != w.head.version || hd.commit != w.head.commit {", "if hd.version < 0 {"},
	{"12", "a snapshot may be above the head",
		"!hd.holds(e.version) {", "e.version < hd.first {"},
	{"step 2", "a cached state that another writer has overtaken is taken for current",
		"if b.loaded = r.catchUp(ctx, b.base); b.loaded {", "if b.loaded = true; b.loaded {"},
	{"step 3", "events of a decision that refuses are stored",
		"if err != nil || len(decided) == 0 {\n\t\tout.err = err\n", "if out.err = err; len(decided) == 0 {\n"},
	{"step 3", "the state of a decision that refuses is kept for the next one",
		"\t\tif len(p.outcome.events) > 0 {\n\t\t\tevents, bytes", foldsRefused},
	{"step 3", "an idempotency id that another update of the batch has is decided again",
		"case version > 0:\n\t\t\tp.outcome = ", "case version < 0:\n\t\t\tp.outcome = "},
	{"step 3", "a command is decided without a look for its idempotency id",
		"if len(ids) == 0 {\n\t\treturn\n\t}\n\tb.found", "if true {\n\t\treturn\n\t}\n\tb.found"},
	{"step 3", "an id that was unused in an older head counts as unused",
		"if !w.unused[id] || w.unusedAt != hd.id() {", "if !w.unused[id] {"},
	{"step 4", "events are appended at whatever version the stream has",
		"\t_, err := b.session.Append(b.ctx, eventstore.ExpectVersion(at), events...)\n", atAnyVersion},
	{"step 4", "the events of an update that has left are stored",
		"if b.away[p.update] && len(p.outcome.events) > 0 {", "if false {"},
	{"step 4", "an update leaves while its events are on their way",
		"b.away[u] = !b.flying[u]", "b.away[u] = true"},
	{"step 4", "a decision that stores nothing is not compared with the store",
		"return p.outcome.sure || b.loaded && p.update.turn.number <= b.since", "return true"},
	{"step 4", "a decision that stores nothing is compared with the version of the stream alone",
		"version, err = b.session.Refresh(b.ctx)", "version, err = b.r.provider.Reader(b.leader.stream).Version(b.ctx)"},
	{"step 4", "a state that was loaded before a call began is current for it",
		"b.loaded && p.update.turn.number <= b.since", "b.loaded"},
	{"step 4", "each update of a batch returns the state of all of them",
		"b.stored, b.base.known = true, began\n\tfor _, p := range b.parts {\n\t\tp.verdict = verdict[S]{after: p.outcome.after,", "b.stored, b.base.known = true, began\n\tfor _, p := range b.parts {\n\t\tp.verdict = verdict[S]{after: b.parts[len(b.parts)-1].outcome.after,"},
	{"step 4", "an append of unknown outcome is taken for stored",
		"case errors.As(err, new(*eventstore.OutcomeUnknownError)):\n", "case errors.As(err, new(*eventstore.OutcomeUnknownError)):\n\t\tb.stored = true\n\t\tfor _, p := range b.parts {\n\t\t\tp.verdict = verdict[S]{after: p.outcome.after, err: p.outcome.err}\n\t\t}\n\t\tb.end(true)\n\t\treturn\n"},
	{"step 4", "a state stays in the cache after an append of unknown outcome",
		"case errors.As(err, new(*eventstore.OutcomeUnknownError)):\n", afterUnknown},
	{"step 4", "a state in memory is young enough however old it is",
		"if !found || l.known.Before(from) {", "if !found {"},
	{"together", "an append that has left keeps its events in the commit",
		"if slices.ContainsFunc(b.aboard, func(j *joined) bool { return j.returned }) {", "if false {"},
	{"together", "an append that left while its events were on their way takes part in the next commit",
		"j.returned = true\n\t\tb.gone()\n", "j.returned = b.flying == nil || !slices.Contains(b.aboard, j)\n"},
	{"together", "each append is told the version of the whole commit",
		"b.tell(j, own[len(own)-1].version, counts, nil)", "_ = own\n\t\t\tb.tell(j, b.flying.version(), counts, nil)"},
	{"together", "an idempotency id that is used refuses all appends of the commit",
		"return !slices.Contains(idempotencyIDs(j.drafts), used.IdempotencyID)", "return false"},
	{"together", "a commit that lost the race is taken for stored",
		"\t\tb.lost()\n", "\t\tif true {\n\t\t\treturn nil\n\t\t}\n"},
	{"together", "Retry is told of an idempotency id of another append",
		"s.writer.repeated(ctx, own.idempotencyIDs(), err)", "s.writer.repeated(ctx, unknown.commit.idempotencyIDs(), err)"},
	{"together", "Retry returns the version of the whole commit",
		"unknown.version(), len(own.events)", "unknown.commit.version(), len(own.events)"},
	{"step 5", "after a conflict, an update stores what it decided before",
		"\tu.decide = func(state S) ([]any, error) {\n\t\tdecided++\n", decidedOnce},
}

// Longer replacements.
const (
	atAnyVersion = `	_, err := b.session.Append(b.ctx, eventstore.ExpectVersion(at), events...)
	if isA[*eventstore.VersionMismatchError](err) {
		for i := range events {
			e := events[i].(eventstore.Event)
			e.Version, e.Metadata.Context.SequenceNumber = 0, 0
			events[i] = e
		}
		_, err = b.session.Append(b.ctx, eventstore.ExpectAny(), events...)
	}
`
	foldsRefused = `		if p.outcome.err != nil && u.asked {
			decided, _ := u.decide(state.State)
			if after, _, err := u.r.decided(b.ctx, b.session, state, decided, u.config); err == nil {
				state.State = after.State
			}
		}
		if len(p.outcome.events) > 0 {
			events, bytes`
	afterUnknown = `case errors.As(err, new(*eventstore.OutcomeUnknownError)):
		b.retry()
		for _, p := range b.parts {
			if b.base.behind = true; fails(p) {
				p.verdict = verdict[S]{after: b.state, err: err}
			}
			if p.outcome.events != nil {
				b.base.Aggregate = p.outcome.after
			}
		}
		b.end(true)
		return
`
	decidedOnce = `	var events []any
	var refusal error
	u.decide = func(state S) ([]any, error) {
		if decided++; decided > 1 {
			*u.tries, u.asked = decided, true
			return events, refusal
		}
		decide := func(state S) ([]any, error) {
			events, refusal = decide(state)
			return events, refusal
		}
`
)

var failing = regexp.MustCompile(`seed (\d+) fails`)

// TestEveryRuleIsNeeded plants one fault after another into a copy of the code, with a compiler
// overlay. The simulation must fail on each copy.
func TestEveryRuleIsNeeded(t *testing.T) {
	for _, p := range faults {
		t.Run(p.rule+" "+p.fault, func(t *testing.T) {
			t.Parallel()
			test, seeds := "TestNothingIsLostTornOrDoubled", "100000"
			if strings.HasPrefix(p.rule, "step") || p.rule == "together" {
				test, seeds = "TestNothingIsLostByUpdates", "20000"
			}
			args := []string{"-test.run=" + test, "-seeds=" + seeds}
			if p.rule == "10" { // it is about streams that end
				args = append(args, "-ending")
			}
			if p.rule == "together" {
				args = append(args, "-together")
			}
			out, err := p.run(t, []string{"../..", "../../aggregate"}, args...)
			caught := failing.FindStringSubmatch(out)
			if err == nil || caught == nil {
				t.Errorf("no history fails without it:\n%s", out)
				return
			}
			fmt.Printf("planted rule=%s fault=%q caught_at_seed=%s\n", p.rule, p.fault, caught[1])
		})
	}
}

// find returns the path and the content of the file that contains the code to replace. It looks
// in the files and directories of where.
func (p planted) find(t *testing.T, where []string) (path, code string) {
	t.Helper()
	var files []string
	for _, name := range where {
		if strings.HasSuffix(name, ".go") {
			files = append(files, name)
			continue
		}
		more, err := filepath.Glob(filepath.Join(name, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, slices.DeleteFunc(more, func(file string) bool { return strings.HasSuffix(file, "_test.go") })...)
	}
	found := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(content), p.old); n > 0 {
			path, code, found = file, string(content), found+n
		}
	}
	if found != 1 {
		t.Fatalf("the event store has the code to replace %d times, want once:\n%s", found, p.old)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, code
}

// run runs a test of the simulation on the code with the fault.
func (p planted) run(t *testing.T, where []string, test ...string) (string, error) {
	t.Helper()
	path, code := p.find(t, where)
	dir := t.TempDir()
	faulty := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(faulty, []byte(strings.Replace(code, p.old, p.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: faulty}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "simulation.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	build.Env = append(build.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the code with the fault does not compile: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), binary, test...).CombinedOutput()
	text := string(out)
	if lines := strings.Split(text, "\n"); len(lines) > 40 {
		text = lines[1] + "\n" + strings.Join(lines[len(lines)-40:], "\n")
	}
	return text, err
}
