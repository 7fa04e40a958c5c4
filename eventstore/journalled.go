package eventstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file is what a commit has to do with the journals. Without a feed it does nothing, except
// that heads keep the ticket that they have.

// giveNumber gives a commit its number and its ticket. (Rules F3 and F5)
func (w *writer) giveNumber(ctx context.Context, c *commit) error {
	last := w.head.ticket
	if w.journals == nil {
		if !last.IsZero() {
			w.feedless.Do(func() {
				w.log.WarnContext(ctx, "the stream is in a feed that this provider does not write to: see WithFeed", "version", c.base)
			})
		}
		return nil
	}
	n, err := w.journals.give(ctx)
	if err != nil {
		return w.failed("append", err)
	}
	c.number = n
	c.ticket = journal.Ticket{Slot: n.Slot, From: w.notCovered(), To: c.version(), After: last.Slot}
	return nil
}

// notCovered returns the lowest version that no ticket of the stream covers.
func (w *writer) notCovered() int64 { return max(w.head.ticket.To+1, w.head.first) }

// ticketOf returns the ticket of the head that a commit writes. A commit without a number keeps the
// one that the head has.
func (w *writer) ticketOf(c commit) journal.Ticket {
	if c.number.own == nil {
		return w.head.ticket
	}
	return c.ticket
}

// entry returns the entry of a commit.
func (c commit) entry(stream string) journal.Entry {
	e := journal.Entry{Slot: c.ticket.Slot, What: journal.Appended, Stream: stream,
		From: c.ticket.From, To: c.ticket.To, After: c.ticket.After, Commit: c.id, Time: timeOf(c.id)}
	if c.ticket.From == c.base+1 {
		e.Types = c.types
	}
	return e
}

// timeOf returns when a commit was made, to the millisecond, as its id tells.
func timeOf(commit string) time.Time {
	id, err := uuid.Parse(commit)
	if err != nil || id.Version() != 7 {
		return time.Time{}
	}
	return time.Unix(id.Time().UnixTime()).UTC()
}

// typesOf returns the types of drafts, each once.
func typesOf(drafts []draft) (types []string) {
	for _, d := range drafts {
		if !slices.Contains(types, d.raw.Type) {
			types = append(types, d.raw.Type)
		}
	}
	return types
}

// entryWrites returns the write of a commit's entry, if the commit has one.
func (w *writer) entryWrites(c commit) []driver.Write {
	if c.number.own == nil {
		return nil
	}
	return []driver.Write{w.journals.entryWrite(c.entry(w.keys.partition))}
}

// A ticket has at most ticketBytes in a record.
const ticketBytes = 256

// An entry's key has at most entryKeyBytes, unless the name of the feed is long.
const entryKeyBytes = 256

// entryBytes returns an upper bound of the bytes of an entry, without the name of its stream.
func entryBytes(types []string) int {
	n := 1024
	for _, t := range types {
		n += 3*len(t) + 8
	}
	return n
}

// sending notes that a commit was sent, unless it certainly was not.
func (w *writer) sending(err error) error {
	w.sent = w.sent || !refused(err)
	return err
}

// account tells the journal what became of a commit. A number is given again only if its commit
// certainly never takes effect. (Rule F3)
func (w *writer) account(c commit, err error) {
	switch {
	case c.number.own == nil:
	case err == nil && w.together:
		c.number.stands()
		w.journals.stood.Ring()
	case err == nil:
		c.number.used(c.entry(w.keys.partition))
	case !w.sent || isA[*VersionMismatchError](err) || isA[*StreamClosedError](err):
		c.number.unused()
	}
}

// standing makes sure that what must stand in a journal before the next commit does so: the entry
// of a ticket that only the head carries, and, if nameFirst is true, the name of a stream that has
// no ticket yet. Its errors match driver.ErrRefused, because nothing of the commit was sent. (Rules
// F2 and F10)
func (w *writer) standing(ctx context.Context, nameFirst bool) error {
	last := w.head.ticket
	switch {
	case w.journals == nil:
		return nil
	case last.Alone != "":
		e := w.entryOfHead(w.head)
		if err := w.state.Write(ctx, w.journals.feed.Partition(e.Journal), []driver.Write{w.journals.entryWrite(e)}); err != nil {
			return fmt.Errorf("the feed %q cannot take the entry %s: %w: %w", string(w.journals.feed), e.Slot, driver.ErrRefused, err)
		}
	case last.IsZero() && nameFirst && !w.named:
		if err := w.journals.name(ctx, w.keys.partition); err != nil {
			return fmt.Errorf("%w: %w", driver.ErrRefused, err)
		}
		w.named = true
	}
	return nil
}

// entryOfHead returns the entry of a head's ticket that no event carries.
func (h *streamHandle) entryOfHead(hd head) journal.Entry {
	t := hd.ticket
	e := journal.Entry{Slot: t.Slot, What: t.Alone, Stream: h.keys.partition, From: t.From, To: t.To, After: t.After}
	if t.Alone != journal.Adopted { // no writer changes the head any more
		e.Commit, e.Time = hd.commit, hd.time
	}
	return e
}
