package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// exam is one call of Verify or Repair.
type exam struct {
	*Feed
	verifyConfig
	result Verification
	fixing bool // findings are told once they are repaired

	log     *eventstore.Reader
	view    eventstore.LogView
	root    journal.Root
	state   journal.State     // after the last batch
	exact   bool              // the state's vector is complete
	streams map[string]*known // by their names

	// listedTo is the position of the log up to which the catalogue is complete.
	listedTo int64

	// What is damaged:
	noRoot, noHead, noList bool
	holes                  []*hole // in the log
	snapshots              []int64
	pages                  []int64
	badNames               map[int64]error // pages of the catalogue
	marks                  map[string]error
	entries                []badEntry

	behind   []string                 // streams with commits that the log does not have
	gaps     []gap                    // at the end of streams
	standing map[journal.Slot]bool    // entries that are not in the log
	ends     map[string]journal.Entry // of journals, that stand
	waiting  map[string]bool          // streams of such entries

	paged paged
	later map[journal.Slot]int64 // the positions of entries after the first hole that no page fills

	// proven is how far the journals were read, as the newest snapshot after that hole tells.
	proven journal.State
}

// gap are versions of a stream that the log has taken over without an entry.
type gap struct {
	stream string
	ticket journal.Ticket
	from   int64
}

// known is what the log and the catalogue tell of a stream.
type known struct {
	to           int64 // the version up to which the log covers it
	named, begun int64 // the positions of its name and of its first commit
	time         time.Time
	listed       bool         // as a stream that has begun
	name         bool         // listed at all
	line         journal.Name // of the catalogue
	gaps         [][2]int64   // versions between others that the log does not have
}

// filler is in the log where nothing tells what was at a position. It is the end of a journal that
// never was, so readers leave it out.
var filler = journal.Entry{Slot: journal.Slot{Journal: "void", Number: 1}, What: journal.Ended}

// hole is a run of versions of the log that are damaged.
type hole struct {
	first, last int64 // versions
	from, to    int64 // positions; to is 0 if nothing tells where it ends
	before      journal.Vector
	time        time.Time       // of the batch before
	entries     []journal.Entry // as pages tell them, or as they were derived
	filled      bool            // entries are all that was there, in their order
}

// badEntry is a damaged entry of a journal.
type badEntry struct {
	slot journal.Slot
	data []byte
	err  error
}

const verifying = "verify the feed"

// note adds a finding. It returns its place, for its repair.
func (x *exam) note(f Finding) {
	x.result.Found[f.Kind]++
	if f.Repaired == "" {
		x.result.Unrepaired++
	}
	if len(x.result.Findings) < MaxFindings {
		x.result.Findings = append(x.result.Findings, f)
	}
	if x.each != nil {
		x.each(f)
	}
}

// damage notes a damaged record.
func (x *exam) damage(key string, err error, repaired string) {
	if d, ok := errors.AsType[*eventstore.DamagedError](err); ok && d.Cause != nil {
		err = d.Cause
	}
	x.note(Finding{Kind: RecordDamaged, Key: key, Err: err, Repaired: repaired})
}

// damageFound is damage in a verification. A repair notes it once it has repaired it.
func (x *exam) damageFound(key string, err error) {
	if !x.fixing {
		x.damage(key, err, "")
	}
}

// run examines everything but events.
func (x *exam) run(ctx context.Context) error {
	var err error
	if x.root, _, err = x.inside.Root(ctx); isA[*eventstore.DamagedError](err) {
		x.noRoot = true
		x.damageFound(journal.RootKey, err)
		if x.root, _, err = x.legibleRoot(ctx); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if x.view, err = x.inside.ViewLog(ctx, x.log); isA[*eventstore.DamagedError](err) {
		x.noHead = true
		x.damageFound("{"+x.name.Log()+"}:head", err)
		return nil // without the head nothing tells what is in the log
	} else if err != nil {
		return err
	}
	if err := x.scan(ctx); err != nil {
		return err
	}
	if x.fixing && len(x.holes) > 0 {
		return x.checkNames(ctx) // the rest once the holes are gone
	}
	x.result.End, x.result.Streams = Position(x.state.Position), int64(len(x.streams))
	for _, check := range [...]func(context.Context) error{x.checkPageRecords, x.checkNames, x.checkJournals, x.checkStreams} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// scan reads all batches of the log.
func (x *exam) scan(ctx context.Context) error {
	snapshots, err := x.log.Snapshots(ctx)
	if isA[*eventstore.DamagedError](err) {
		x.noList = true
		x.damageFound("{"+x.name.Log()+"}:snapshots", err)
	} else if err != nil {
		return err
	}
	listed := map[int64]bool{}
	for _, v := range snapshots {
		listed[v] = true
	}
	x.state, x.exact = journal.NewState(), true
	var open *hole // that the last batch was in
	var last time.Time
	for version := int64(1); version <= x.view.Version; {
		var failed error
		for event, err := range x.view.Read(ctx, version, x.view.Version, false) {
			var batch logged
			if err == nil {
				batch, err = x.decode(event)
			}
			if failed = err; err != nil {
				break
			}
			version = event.Version + 1
			if open != nil {
				if err := x.closeHole(ctx, open, batch.First-1); err != nil {
					return err
				}
				open = nil
			}
			if err := x.take(ctx, batch.Batch, event.Version); err != nil {
				return err
			}
			last = batch.Time
			if listed[event.Version] {
				if err := x.checkSnapshot(ctx, event.Version); err != nil {
					return err
				}
			}
			if x.tell != nil && event.Version%100 == 0 {
				x.tell(event.Version, x.view.Version)
			}
		}
		damaged, ok := errors.AsType[*eventstore.DamagedError](failed)
		if failed != nil && (!ok || damaged.Version < version) {
			return failed
		}
		if ok {
			version = damaged.Version
			x.damageFound(damaged.Key, damaged)
			if open == nil {
				open = &hole{first: version, from: x.state.Position + 1, before: x.state.Vector.Clone(), time: last}
				x.holes = append(x.holes, open)
			}
			open.last = version
			version++
		}
	}
	if open != nil {
		x.exact = false
	}
	return nil
}

// closeHole notes at which position a hole ends, and fills it from pages if they have all of it.
func (x *exam) closeHole(ctx context.Context, h *hole, to int64) error {
	if h.to = to; to < h.from {
		h.to = h.from - 1 // the batch after it contradicts the one before
	}
	var entries []journal.Entry
	for n := journal.PageOf(h.from); n <= journal.PageOf(h.to); n++ {
		found, err := x.allLogPages(ctx, n, n)
		if isA[*eventstore.DamagedError](err) || err == nil && found[0].Version == 0 {
			break
		}
		if err != nil {
			return err
		}
		for i, e := range found[0].Entries {
			if p := found[0].First + int64(i); p >= h.from && p <= h.to {
				entries = append(entries, e)
			}
		}
	}
	if h.filled = int64(len(entries)) == h.to-h.from+1 && len(entries) > 0; h.filled {
		h.entries = entries
		x.paged.trusted = journal.PageOf(h.to) + 1
		return x.take(ctx, journal.Batch{First: h.from, Entries: entries}, h.last)
	}
	x.exact = false
	x.state.Position = h.to
	return nil
}

// complete reports whether all entries up to now are known.
func (x *exam) complete() bool {
	return !slices.ContainsFunc(x.holes, func(h *hole) bool { return !h.filled })
}

// take notes what a batch tells.
func (x *exam) take(ctx context.Context, batch journal.Batch, version int64) error {
	complete := x.complete()
	if batch.First != x.state.Position+1 {
		x.damage(x.inside.LogKey(version), fmt.Errorf("it begins at position %d, after position %d", batch.First, x.state.Position), "")
	}
	for i, e := range batch.Entries {
		position := batch.First + int64(i)
		x.result.Entries++
		x.state.Vector.Take(e)
		if !complete {
			x.later[e.Slot] = position
		}
		if e.What != journal.Ended {
			x.tookStream(e, position, complete)
		}
		x.exact = x.exact && e.Journal != filler.Journal
	}
	x.state.Position = batch.Last()
	if !complete {
		return nil
	}
	return x.addPages(ctx, batch, version)
}

func (x *exam) tookStream(e journal.Entry, position int64, complete bool) {
	k := x.known(e.Stream)
	if e.What == journal.Named {
		if k.named == 0 {
			k.named = position
		}
		return
	}
	if e.From == 1 && k.begun == 0 {
		k.begun, k.time = position, e.Time
	}
	if e.From > k.to+1 && k.to > 0 && complete {
		k.gaps = append(k.gaps, [2]int64{k.to + 1, e.From - 1})
	}
	k.to = max(k.to, e.To)
}

func (x *exam) known(stream string) *known {
	k := x.streams[stream]
	if k == nil {
		k = &known{}
		x.streams[stream] = k
	}
	return k
}

func (x *exam) missing(name string, from, to int64, repaired string) {
	s, err := eventstore.ParseStream(name)
	x.note(Finding{Kind: EntryMissing, Stream: s, From: from, To: to, Err: err, Repaired: repaired})
}

// checkSnapshot compares a snapshot of the log with the batches so far. After a hole it tells the
// state.
func (x *exam) checkSnapshot(ctx context.Context, version int64) error {
	key := "{" + x.name.Log() + "}:snapshot:" + fmt.Sprint(version)
	snapshot, err := x.log.Snapshot(ctx, version, eventstore.AsRaw())
	if isA[*eventstore.SnapshotNotFoundError](err) {
		return nil // it was being saved, or was cleared
	}
	if err != nil && !isA[*eventstore.DamagedError](err) {
		return err
	}
	var state journal.State
	if err == nil {
		state, err = journal.DecodeState(snapshot.Data.(eventstore.Raw).Payload)
	}
	if err == nil && (state.Position != x.state.Position || x.exact && !bytes.Equal(state.Encode(), x.state.Encode())) {
		err = errDiffers
	}
	if err != nil {
		x.snapshots = append(x.snapshots, version)
		x.damageFound(key, err)
		return nil
	}
	if !x.complete() {
		x.proven = state
	}
	if !x.exact {
		x.state, x.exact = state.Clone(), true
	}
	return nil
}

// addPages compares the pages that a batch completes with what they should be.
func (x *exam) addPages(ctx context.Context, batch journal.Batch, version int64) error {
	p := &x.paged
	for _, e := range batch.Entries {
		p.rest.Entries = append(p.rest.Entries, e)
		if len(p.rest.Entries) < journal.PageEntries {
			continue
		}
		page := journal.Page{Batch: p.rest, Version: version}
		page.Time = batch.Time
		if err := x.comparePage(ctx, page); err != nil {
			return err
		}
		p.number++
		p.rest = journal.Batch{First: p.rest.Last() + 1}
	}
	return nil
}

// paged is how far the pages of the log are compared.
type paged struct {
	number  int64 // of the next page
	rest    journal.Batch
	trusted int64 // pages below that number have filled holes

	first   int64 // of values
	values  [][]byte
	missing []int64 // pages since the last one that is there
}

func (x *exam) comparePage(ctx context.Context, want journal.Page) error {
	p := &x.paged
	if p.number >= p.first+int64(len(p.values)) {
		keys := make([]string, pagesAtOnce)
		for i := range keys {
			keys[i] = x.name.Page(p.number + int64(i))
		}
		items, err := x.inside.GetMany(ctx, verifying, keys)
		if err != nil {
			return err
		}
		p.first, p.values = p.number, p.values[:0]
		for _, item := range items {
			p.values = append(p.values, item.Value)
		}
	}
	got := p.values[p.number-p.first]
	if len(got) == 0 {
		p.missing = append(p.missing, p.number) // the last ones may be missing: an indexer writes them later
		return nil
	}
	for _, n := range p.missing {
		x.badPage(n, errMissing)
	}
	p.missing = p.missing[:0]
	if _, err := journal.DecodePage(x.name, p.number, got); err != nil {
		x.badPage(p.number, err)
	} else if p.number >= p.trusted && !bytes.Equal(got, want.Encode(x.name)) {
		x.badPage(p.number, errDiffers)
	}
	return nil
}

var errDiffers = errors.New("it is not what the batches of the log tell")

func (x *exam) badPage(number int64, err error) {
	x.pages = append(x.pages, number)
	x.damageFound(x.name.Page(number), err)
}

// checkPageRecords looks whether the pages can be read that could not be compared, because the log
// has a hole.
func (x *exam) checkPageRecords(ctx context.Context) error {
	if x.complete() {
		return nil
	}
	for n := x.paged.number; n < x.state.Position/journal.PageEntries; n++ {
		if _, err := x.logPages(ctx, n, n); isA[*eventstore.DamagedError](err) {
			x.badPage(n, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// checkNames compares the catalogue with the log, and its marks with its pages.
func (x *exam) checkNames(ctx context.Context) error {
	var missing []int64
	var last journal.NamesPage
	for first := int64(0); ; first += namePagesAtOnce {
		keys := make([]string, namePagesAtOnce)
		for i := range keys {
			keys[i] = x.name.Names(first + int64(i))
		}
		items, err := x.inside.GetMany(ctx, verifying, keys)
		if err != nil {
			return err
		}
		found := false
		for i, item := range items {
			if !item.Found() {
				missing = append(missing, first+int64(i))
				continue
			}
			found = true
			for _, n := range missing {
				x.badNames[n] = errMissing
				x.damageFound(x.name.Names(n), x.badNames[n])
			}
			missing = missing[:0]
			page, err := journal.DecodeNames(x.name, item.Value)
			if err != nil {
				x.badNames[first+int64(i)] = err
				x.damageFound(item.Key, err)
				continue
			}
			last, x.listedTo = page, page.Position
			if err := x.checkMarks(ctx, page); err != nil {
				return err
			}
		}
		if !found {
			break
		}
	}
	x.tellMarks(last)
	return nil
}

var errMissing = errors.New("it is missing")

// checkMarks notes the names of a page, and looks at their marks.
func (x *exam) checkMarks(ctx context.Context, page journal.NamesPage) error {
	keys := make([]string, len(page.Names))
	for i, n := range page.Names {
		keys[i] = x.name.Mark(n.Stream)
		k := x.known(n.Stream)
		if k.name, k.listed = true, k.listed || n.Begun; n.Begun || k.line.Stream == "" {
			k.line = n
		}
	}
	items, err := x.inside.GetMany(ctx, verifying, keys)
	if err != nil {
		return err
	}
	for i, item := range items {
		if name := page.Names[i].Stream; !item.Found() {
			x.marks[name] = errMissing
		} else if _, err := journal.DecodeMark(x.name, item.Value); err != nil {
			x.marks[name] = err
		}
	}
	return nil
}

// tellMarks notes the marks that are damaged or missing. Those of the last page may be missing: an
// indexer writes them after the page, and again when it begins.
func (x *exam) tellMarks(last journal.NamesPage) {
	for _, n := range last.Names {
		if x.marks[n.Stream] == errMissing {
			delete(x.marks, n.Stream)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.marks)) {
		x.damageFound(x.name.Mark(name), x.marks[name])
	}
}

// checkJournals looks at what stands in journals.
func (x *exam) checkJournals(ctx context.Context) error {
	var slots []journal.Slot
	for _, id := range unended(x.root, x.state.Vector) {
		slots = append(slots, outstanding(id, x.state.Vector[id])...)
	}
	return x.readSlots(ctx, verifying, slots, func(slot journal.Slot, item driver.Item) error {
		x.standing[slot] = true
		e, err := journal.DecodeEntry(x.name, slot, item.Value)
		switch {
		case err != nil:
			x.entries = append(x.entries, badEntry{slot, item.Value, err})
			x.damageFound(item.Key, err)
		case e.What == journal.Ended:
			x.ends[e.Journal] = e
		default:
			x.waiting[e.Stream] = true
		}
		return nil
	})
}

// checkStreams compares the heads of streams with the log.
func (x *exam) checkStreams(ctx context.Context) error {
	for names := range slices.Chunk(slices.Sorted(maps.Keys(x.streams)), headsAtOnce) {
		heads, errs, err := x.inside.Heads(ctx, verifying, names)
		if err != nil {
			return err
		}
		for i, name := range names {
			x.checkStream(name, heads[i], errs[i])
		}
	}
	return nil
}

func (x *exam) checkStream(name string, h eventstore.StreamHead, err error) {
	k := x.streams[name]
	s, parseErr := eventstore.ParseStream(name)
	t := h.Ticket()
	if !h.Deleted { // otherwise the events are gone, and what the log has lost of them with it
		for _, g := range k.gaps {
			x.missing(name, g[0], g[1], "")
		}
	}
	switch {
	case err != nil || parseErr != nil:
		x.note(Finding{Kind: EventUnreadable, Stream: s, Err: errors.Join(parseErr, err)})
	case !x.state.Vector.Covers(t.Slot) || h.Version > 0 && !h.Ticketed():
		x.result.Behind++
		x.behind = append(x.behind, name)
	case k.to < t.To && x.complete() && !t.IsZero():
		x.gaps = append(x.gaps, gap{name, t, k.to + 1})
		if !x.fixing {
			x.missing(name, k.to+1, t.To, "")
		}
	}
	// An indexer lists a stream a little later than it logs its beginning.
	if !x.fixing && k.begun > 0 && k.begun <= x.listedTo && !k.listed && x.complete() && parseErr == nil {
		x.note(Finding{Kind: StreamUnlisted, Stream: s})
	}
}

// events reads the feed, to find out which events are there.
func (x *exam) events(ctx context.Context) error {
	if x.noRoot || x.noHead || !x.complete() || len(x.pages) > 0 || x.result.End == 0 {
		return nil // the feed cannot be read before it is repaired
	}
	for item, err := range x.Read(ctx, AsRaw(), Before(x.result.End+1)) {
		if isA[*eventstore.DamagedError](err) {
			return nil // it was found already
		}
		if err != nil {
			return err
		}
		switch {
		case item.What == Lost:
			x.note(Finding{Kind: EventLost, Stream: item.Stream, From: item.Version, To: item.Version})
		case item.Err != nil:
			x.note(Finding{Kind: EventUnreadable, Stream: item.Stream, From: item.Version, To: item.Version, Err: item.Err})
		}
	}
	return nil
}

// unlisted looks for streams that the feed does not know.
func (x *exam) unlisted(ctx context.Context) error {
	if x.stored == nil || x.noHead || !x.complete() {
		return nil
	}
	var part []eventstore.Stream
	look := func() error {
		names := make([]string, len(part))
		for i, s := range part {
			names[i] = s.String()
		}
		heads, _, err := x.inside.Heads(ctx, verifying, names)
		for i, s := range part {
			// A damaged head is a matter of verifying the stream.
			if err == nil && heads[i].Version > 0 && !heads[i].Deleted {
				x.note(Finding{Kind: StreamUnlisted, Stream: s})
			}
		}
		part = part[:0]
		return err
	}
	for s, err := range x.stored {
		if err != nil {
			return err
		}
		if x.streams[s.String()] != nil || x.waiting[s.String()] {
			continue
		}
		if part = append(part, s); len(part) == headsAtOnce {
			if err := look(); err != nil {
				return err
			}
		}
	}
	return look()
}
