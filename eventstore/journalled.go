package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file is what a commit has to do with the journals. Without a feed it does nothing, except
// that heads keep the ticket that they have.

// giveNumber gives the commit of drafts its number, its ticket and its entry. (Rules F3 and F5)
func (w *writer) giveNumber(ctx context.Context, c *commit, drafts []draft) error {
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
		return w.noNumber("append", err)
	}
	c.number = n
	c.ticket = journal.Ticket{Slot: n.Slot, From: w.notCovered(), To: c.version(), After: last.Slot}
	e := w.entryOf(c.ticket, c.id)
	if e.From == c.base+1 {
		e.Types = typesOf(drafts)
	}
	c.entry = w.journals.entryWrite(e)
	return nil
}

// noNumber returns the error of an operation whose commit got no number.
func (h *streamHandle) noNumber(operation string, err error) error {
	if argument, ok := errors.AsType[*ArgumentError](err); ok {
		return argument
	}
	return h.failed(operation, err)
}

// errAdopted says that the head got another ticket since a commit was planned. The commit's own
// ticket is no longer right then. No attempt at the commit can succeed any more, because the ETag
// of the head is another one too.
var errAdopted = fmt.Errorf("the stream was taken into the feed meanwhile: append the events again: %w", driver.ErrRefused)

// follows reports whether the ticket of a commit names the one that a head has. A head that has
// lost its ticket to an older version of this library makes no difference.
func (c commit) follows(h head) bool {
	return c.number.own == nil || h.ticket.IsZero() || h.ticket.Slot == c.ticket.After
}

// older reports whether a head of the commit's base is certainly an earlier one than the head that
// the commit was planned for. An adoption makes a later head of the same version, and its ticket
// says so. Any other ticket that the commit does not follow was there before. (Rule F5)
func (c commit) older(h head) bool {
	return !c.follows(h) && (h.ticket.Alone == "" || h.ticket.To < c.base)
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

// entryOf returns the entry of a commit without the types of its events, as the commit's ticket and
// id tell.
func (h *streamHandle) entryOf(t journal.Ticket, commit string) journal.Entry {
	return journal.Entry{Slot: t.Slot, What: journal.Appended, Stream: h.keys.partition,
		From: t.From, To: t.To, After: t.After, Commit: commit, Time: timeOf(commit)}
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

// carriesEntries reports whether a transaction of the store can hold the entry of its commit, whose
// key is in another partition. (Rule F4)
func (h *streamHandle) carriesEntries() bool { return h.caps.Atomic && h.caps.AnyPartition }

// ticketBytes is how many bytes a ticket has in a record at most.
const ticketBytes = 256

// sending notes that a commit was sent, unless it certainly was not.
func (w *writer) sending(err error) error {
	w.sent = w.sent || !refused(err)
	return err
}

// account tells the journal what became of a commit. A number is given again only if its commit
// certainly never takes effect. (Rule F3)
func (w *writer) account(c commit, err error) {
	if c.number.own == nil {
		return
	}
	switch err.(type) { // errors of other types may wrap these
	case nil:
		if w.together {
			c.number.stands()
			c.number.of.tell()
		} else {
			c.number.used(c.entry)
		}
		return
	case *VersionMismatchError, *StreamClosedError:
		c.number.rejected()
		return
	case *StorageError, *IdempotencyIDUsedError, *InlineError:
		c.number.unused()
		return
	case *OutcomeUnknownError: // whether it was sent or not, the caller has it
		c.number.keep(c)
		return
	}
	switch {
	case err == errAdopted:
		c.number.rejected()
	case !w.sent:
		c.number.unused()
	default:
		c.number.keep(c)
	}
}

// standing makes sure that what must stand in a journal before the next commit does so. That is the
// entry of a ticket that only the head carries. If nameFirst is true, it is also the name of a
// stream that has no ticket yet. The errors of standing match driver.ErrRefused, because nothing of
// the commit was sent. It may take so long that the ETag of the head is no longer current. (Rules
// F2 and F10)
func (w *writer) standing(ctx context.Context, j *journals, nameFirst bool) error {
	last := w.head.ticket
	switch {
	case j == nil:
		return nil
	case last.Alone != "" && last.Slot != w.alone:
		e := w.entryOfHead(w.head)
		if err := w.state.Write(ctx, j.feed.Partition(e.Journal), []driver.Write{j.entryWrite(e)}); err != nil {
			return fmt.Errorf("the feed %q cannot take the entry %s: %w: %w", string(j.feed), e.Slot, driver.ErrRefused, err)
		}
		w.alone = last.Slot
	case last.IsZero() && nameFirst && !w.named:
		if err := j.name(ctx, w.keys.partition); err != nil {
			return err
		}
		w.named = true
	}
	return nil
}

// standingFor is standing for a commit.
func (w *writer) standingFor(ctx context.Context, c commit) error {
	j := w.journals
	if c.number.own != nil {
		j = c.number.of
	}
	nameFirst := w.head.ticket.IsZero() && !(w.carriesEntries() && w.fitsWith(w.head.tail, c))
	return w.standing(ctx, j, nameFirst)
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
