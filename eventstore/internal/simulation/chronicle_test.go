package simulation

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

const feedName = journal.Feed("all")

// chronicle watches a store with a feed, request by request. It checks each stream like the audit
// of a single one, and the log is one of these streams. Of the feed it checks what must be true at
// every moment:
//
//   - an entry is about something that is committed, and a slot never stands for two things;
//   - the log's positions have no gaps, and it takes over each slot once;
//   - the log has the versions of a stream in order, each once;
//   - an entry is deleted only after the log has taken it over;
//   - a journal ends only when all its numbers are decided and taken over.
type chronicle struct {
	*world
	audits  map[string]*audit // by partition, the log included
	streams map[string]*told  // by name, of users
	slots   map[journal.Slot]string
	ended   map[string]journal.Entry // by journal
	present map[journal.Slot]bool    // entries
	late    map[journal.Slot]bool    // entries that were written after the log had taken them over

	logVersion int64
	position   int64
	vector     journal.Vector
	forgot     bool
	staleReads bool // reads may be stale, so the catalogue may have a name again on a later page
	gap        bool // entries were lost, so the numbers of a journal may have a gap beyond the window

	seen                                     [followers]map[string]int64
	entries, adopted, delivered, lateEntries int64
}

// told is what is known of one stream.
type told struct {
	named    bool           // the log has its name
	ticketed bool           // a head had a ticket
	mixed    bool           // writers without the feed took part, so the log may cover versions again
	ticket   journal.Ticket // of the head
	last     int64          // the highest version in the log
	state    journal.What   // as the log tells
	covers   map[int64]bool // versions in the log
}

func newChronicle(w *world) *chronicle {
	c := &chronicle{world: w, audits: map[string]*audit{}, streams: map[string]*told{}, slots: map[journal.Slot]string{},
		ended: map[string]journal.Entry{}, present: map[journal.Slot]bool{}, late: map[journal.Slot]bool{}, vector: journal.Vector{}, staleReads: w.stale}
	for i := range c.seen {
		c.seen[i] = map[string]int64{}
	}
	return c
}

func (c *chronicle) stream(name string) *told {
	if c.streams[name] == nil {
		c.streams[name] = &told{covers: map[int64]bool{}}
	}
	return c.streams[name]
}

func (c *chronicle) begun() bool { return len(c.streams) > 0 }

// forget accepts the store's present contents. From then on only what has survived counts.
func (c *chronicle) forget(*restart) {
	c.forgot = true
	for _, p := range c.members {
		p.lostSight = p.writes && !p.crashed
	}
	for slot := range c.present {
		value, _ := c.store.Value(feedName.Key(slot))
		c.gap = c.gap || value == nil
	}
	for partition, a := range c.audits {
		a.restart("{" + partition + "}:head")
	}
}

func partitionOf(key string) string { return key[1:strings.Index(key, "}:")] }

// isStream reports whether a partition of the store may be a stream, such as the log.
func isStream(partition string) bool {
	_, other, _ := strings.Cut(partition, ":")
	kind, _, _ := strings.Cut(other, ":")
	return !strings.HasPrefix(partition, ":") || !slices.Contains([]string{"journal", "follower", "subscription", "projection", "process"}, kind)
}

// slotOf returns the slot of an entry's key.
func slotOf(key string) (journal.Slot, bool) {
	id, ok := strings.CutPrefix(partitionOf(key), feedName.Partition(""))
	number, err := strconv.ParseInt(key[strings.LastIndexByte(key, ':')+1:], 10, 64)
	return journal.Slot{Journal: id, Number: number}, ok && err == nil
}

// after checks what a request has changed.
func (c *chronicle) after(f *flight) error {
	if !f.writes() || f.request.Op == "trylock" || f.request.Op == "unlock" {
		return nil
	}
	keys := map[string][]string{}
	for _, key := range f.request.Keys {
		partition := partitionOf(key)
		keys[partition] = append(keys[partition], key)
	}
	own := f.request.Partition
	if isStream(own) {
		a := c.audits[own]
		if a == nil {
			a = &audit{store: c.store, partition: own, committed: map[int64][]byte{}}
			c.audits[own] = a
		}
		if err := a.changed(f.request, keys[own]); err != nil {
			return fmt.Errorf("%s: %w", own, err)
		}
	}
	if c.forgot {
		return nil
	}
	if value, _ := c.store.Value("{" + own + "}:head"); value != nil && !strings.HasPrefix(own, ":") {
		if err := c.committed(own, value); err != nil {
			return err
		}
	}
	for _, partition := range slices.Sorted(maps.Keys(keys)) {
		if !strings.HasPrefix(partition, ":journal:") {
			continue
		}
		for _, key := range keys[partition] {
			if err := c.entered(key); err != nil {
				return err
			}
		}
	}
	if own == feedName.Log() {
		return c.logged()
	}
	return nil
}

// committed looks at the head of a user's stream.
func (c *chronicle) committed(stream string, value []byte) error {
	s := c.stream(stream)
	text := field(value, "ticket")
	if text == "" {
		s.mixed = true
		s.ticket = journal.Ticket{}
		return nil
	}
	t, err := journal.ParseTicket(text)
	if err != nil {
		return err
	}
	s.mixed = s.mixed || t.To < c.audits[stream].head.version
	if s.ticket == t {
		return nil
	}
	s.ticketed, s.ticket = true, t
	return c.stands(t.Slot, stream+" "+t.String())
}

// stands notes what a slot is for.
func (c *chronicle) stands(slot journal.Slot, what string) error {
	if was, ok := c.slots[slot]; ok && was != what {
		return fmt.Errorf("slot %s is for %q and for %q", slot, was, what)
	}
	if end, ok := c.ended[slot.Journal]; ok && c.slots[slot] == "" {
		return fmt.Errorf("slot %s is for %q, but its journal has ended with number %d", slot, what, end.Number)
	}
	c.slots[slot] = what
	return nil
}

// entered looks at the key of an entry that was written or deleted.
func (c *chronicle) entered(key string) error {
	slot, _ := slotOf(key)
	name := slot.Journal
	value, _ := c.store.Value(key)
	if value == nil {
		if c.present[slot] && !c.vector.Covers(slot) {
			return fmt.Errorf("the entry of slot %s was deleted before the log has it", slot)
		}
		delete(c.present, slot)
		return nil
	}
	e, err := journal.DecodeEntry(feedName, slot, value)
	if err != nil {
		return fmt.Errorf("the entry of slot %s: %w", slot, err)
	}
	if c.present[slot], c.late[slot] = true, c.vector.Covers(slot); c.late[slot] {
		c.lateEntries++
	}
	switch e.What {
	case journal.Named:
		return c.stands(slot, "name "+e.Stream)
	case journal.Ended:
		if err := c.stands(slot, "end"); err != nil {
			return err
		}
		for n := int64(1); n < e.Number; n++ {
			if void := slices.Contains(e.Void, n); void == (c.slots[journal.Slot{Journal: name, Number: n}] != "") {
				return fmt.Errorf("journal %s ends with number %d, but number %d is undecided or void and used", name, e.Number, n)
			}
		}
		c.ended[name] = e
		return nil
	}
	if what := e.Stream + " " + e.Ticket().String(); c.slots[slot] != what {
		return fmt.Errorf("slot %s has an entry for %q, but is for %q", slot, what, c.slots[slot])
	}
	return nil
}

// logged looks at the batches that are new in the log.
func (c *chronicle) logged() error {
	a := c.audits[feedName.Log()]
	if a.head.version < c.logVersion {
		return errors.New("the log became shorter")
	}
	for ; c.logVersion < a.head.version; c.logVersion++ {
		_, payload, _ := bytes.Cut(a.committed[c.logVersion+1], []byte("\n\n"))
		batch, err := journal.DecodeBatch(payload)
		if err != nil {
			return fmt.Errorf("batch %d of the log: %w", c.logVersion+1, err)
		}
		if batch.First != c.position+1 {
			return fmt.Errorf("batch %d of the log begins at position %d, after %d", c.logVersion+1, batch.First, c.position)
		}
		c.position = batch.Last()
		for _, e := range batch.Entries {
			c.log("the log takes over %s: %s %s %d-%d", e.Slot, e.What, e.Stream, e.From, e.To)
			if err := c.takenOver(e); err != nil {
				return fmt.Errorf("the log has %s %s of slot %s: %w", e.What, e.Stream, e.Slot, err)
			}
		}
	}
	return nil
}

func (c *chronicle) takenOver(e journal.Entry) error {
	if c.vector.Covers(e.Slot) {
		return errors.New("it has it already")
	}
	defer c.vector.Take(e)
	c.entries++
	switch e.What {
	case journal.Named:
		c.stream(e.Stream).named = true
		return nil
	case journal.Ended:
		for slot := range c.slots {
			if slot.Journal == e.Journal && slot.Number != e.Number && !c.vector.Covers(slot) {
				return fmt.Errorf("slot %s was not taken over", slot)
			}
		}
		return nil
	case journal.Adopted:
		c.adopted++
	}
	stream, text, _ := strings.Cut(c.slots[e.Slot], " ")
	t, err := journal.ParseTicket(text)
	if err != nil || stream != e.Stream || t.From != e.From || t.To != e.To {
		return fmt.Errorf("the slot is for %q", c.slots[e.Slot])
	}
	s := c.stream(e.Stream)
	switch {
	case !c.vector.Covers(t.After) && !s.mixed:
		return fmt.Errorf("slot %s comes before it", t.After)
	case e.From != s.last+1 && !s.mixed, e.From > s.last+1:
		return fmt.Errorf("it covers %d to %d, after %d", e.From, e.To, s.last)
	}
	for v := e.From; v <= e.To; v++ {
		s.covers[v] = true
	}
	s.last = max(s.last, e.To)
	if e.What == journal.Closed || e.What == journal.Deleted {
		s.state = e.What
	}
	return nil
}

// deliver checks what a follower gets.
func (c *chronicle) deliver(follower int, item feed.Item) error {
	c.delivered++
	if c.forgot {
		return nil
	}
	name := item.Stream.String()
	last := c.seen[follower][name]
	a := c.audits[name]
	switch item.What {
	case feed.Appended:
		_, payload, _ := bytes.Cut(a.committed[item.Version], []byte("\n\n"))
		if got := payloadOf(item); got != string(payload) {
			return fmt.Errorf("it gets %q, but %q is committed", got, payload)
		}
		if item.Version > last+1 && a.head.state != "deleted" {
			return fmt.Errorf("it comes after version %d", last)
		}
	case feed.Closed:
		if last != item.Version && a.head.state != "deleted" {
			return fmt.Errorf("it comes after version %d", last)
		}
	case feed.Deleted:
		if a.head.state != "deleted" {
			return errors.New("the stream is not deleted")
		}
	}
	c.seen[follower][name] = max(last, item.Version)
	return nil
}

// complete checks that nothing is missing.
func (c *chronicle) complete() error {
	if c.forgot {
		return c.survived()
	}
	catalogue, err := c.catalogue()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.streams)) {
		s, a := c.streams[name], c.audits[name]
		if a == nil || a.head.version == 0 || !s.ticketed && (!s.named || a.head.state == "deleted") {
			continue // no writer with the feed has written to it
		}
		switch {
		case !catalogue[name]:
			return fmt.Errorf("the catalogue does not have %s", name)
		case a.head.state == "deleted" && s.state != journal.Deleted:
			return fmt.Errorf("%s was deleted, but the log does not say so", name)
		case a.head.state == "closed" && s.state != journal.Closed:
			return fmt.Errorf("%s was closed, but the log does not say so", name)
		case s.last != a.head.version:
			return fmt.Errorf("%s has %d versions, the log %d", name, a.head.version, s.last)
		}
		for i, seen := range c.seen {
			if seen[name] != a.head.version {
				return fmt.Errorf("%s has %d versions, follower %d got %d", name, a.head.version, i, seen[name])
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.store.Values())) {
		slot, ok := slotOf(key)
		switch {
		case !ok:
		case !c.vector.Covers(slot):
			return fmt.Errorf("the log does not have the entry of slot %s, %q", slot, c.slots[slot])
		case !c.late[slot]:
			return fmt.Errorf("the entry of slot %s, %q, was left behind", slot, c.slots[slot])
		}
	}
	return nil
}

// catalogue returns the names of streams that have begun, as the catalogue tells. The name of a
// stream that has not begun may stand on an earlier line.
func (c *chronicle) catalogue() (map[string]bool, error) {
	named, begun := map[string]bool{}, map[string]bool{}
	for page := int64(0); ; page++ {
		value, _ := c.store.Value(feedName.Names(page))
		p, err := journal.DecodeNames(feedName, value)
		if err != nil {
			return nil, err
		}
		if len(p.Names) == 0 && page > 0 {
			return begun, nil
		}
		for _, n := range p.Names {
			if (begun[n.Stream] || named[n.Stream] && !n.Begun) && !c.staleReads {
				return nil, fmt.Errorf("the catalogue has %s twice", n.Stream)
			}
			named[n.Stream] = true
			begun[n.Stream] = begun[n.Stream] || n.Begun
		}
	}
}

// survived checks that the log has all that a store has kept that lost its last writes.
func (c *chronicle) survived() error {
	for _, p := range c.members {
		if p.lostSight && !p.recovered {
			return nil // a process ended before it could look at the root
		}
	}
	covers, vector := map[string]map[int64]bool{}, journal.Vector{}
	a := c.audits[feedName.Log()]
	for version := int64(1); a != nil && version <= a.head.version; version++ {
		_, payload, _ := bytes.Cut(a.committed[version], []byte("\n\n"))
		batch, err := journal.DecodeBatch(payload)
		if err != nil {
			return err
		}
		for _, e := range batch.Entries {
			vector.Take(e)
			if covers[e.Stream] == nil {
				covers[e.Stream] = map[int64]bool{}
			}
			for v := e.From; v <= e.To; v++ {
				covers[e.Stream][v] = true
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.store.Values())) {
		slot, ok := slotOf(key)
		if !ok || c.gap || vector.Covers(slot) {
			continue
		}
		value, _ := c.store.Value(key)
		if e, err := journal.DecodeEntry(feedName, slot, value); err != nil || e.What == journal.Named {
			return fmt.Errorf("the name of %q in slot %s has survived, but the log does not have it", e.Stream, slot)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.audits)) {
		if c.gap && covers[name] == nil {
			continue // what is beyond the gap is found only by the name of its stream
		}
		for v := int64(1); !strings.HasPrefix(name, ":") && v <= c.audits[name].head.version; v++ {
			if !covers[name][v] {
				return fmt.Errorf("version %d of %s has survived, but the log does not have it", v, name)
			}
		}
	}
	return nil
}
