package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// What is what an entry tells.
type What string

const (
	Appended What = "appended" // the versions From to To were appended
	Closed   What = "closed"   // the stream was closed at the version To
	Deleted  What = "deleted"  // the stream was deleted; To is the version of its last head
	Adopted  What = "adopted"  // the versions From to To were written by writers without a feed
	Named    What = "named"    // the stream may begin
	Ended    What = "ended"    // the journal has no more entries
)

// Entry is what stands under one number of a journal. Its bytes follow from the commit that it is
// about, so everybody who writes it writes the same bytes. (Rule F4)
type Entry struct {
	Slot
	What   What
	Stream string // escaped, as Stream.String returns it; empty if the journal ended

	From, To int64
	After    Slot
	Commit   string
	Time     time.Time
	Types    []string // of the commit's events, each once; empty if they are not known

	Void []int64 // the numbers of an ended journal that never had a commit
}

// Ticket returns the ticket of the entry's commit.
func (e Entry) Ticket() Ticket {
	t := Ticket{Slot: e.Slot, From: e.From, To: e.To, After: e.After}
	if e.What != Appended {
		t.Alone = e.What
	}
	return t
}

const kindEntry = "entry"

// Encode returns the record of the entry.
func (e Entry) Encode(feed Feed) []byte {
	w := frame.New(kindEntry, feed.Partition(e.Journal), 0)
	w.Number("number", e.Number)
	w.Text("what", string(e.What))
	w.Text("of", e.Stream)
	if e.Stream != "" && e.What != Named {
		w.Text("ticket", e.Ticket().String())
	}
	w.Text("commit", e.Commit)
	w.Time("time", e.Time)
	for _, t := range e.Types {
		w.Line("type", t)
	}
	for _, n := range e.Void {
		w.Number("void", n)
	}
	return w.Finish()
}

// DecodeEntry decodes the entry of a slot.
func DecodeEntry(feed Feed, slot Slot, data []byte) (Entry, error) {
	e := Entry{Slot: slot}
	var number int64
	_, err := frame.Read(data, kindEntry, feed.Partition(slot.Journal), func(field, value string) error {
		switch field {
		case "number":
			return frame.ParseNumber(value, &number)
		case "what":
			e.What = What(value)
		case "of":
			e.Stream = value
		case "ticket":
			t, err := ParseTicket(value)
			e.From, e.To, e.After = t.From, t.To, t.After
			if err == nil && t.Slot != slot {
				err = fmt.Errorf("its ticket is for %s", t.Slot)
			}
			return err
		case "commit":
			e.Commit = value
		case "time":
			return frame.ParseTime(value, &e.Time)
		case "type":
			e.Types = append(e.Types, value)
		case "void":
			var n int64
			err := frame.ParseNumber(value, &n)
			e.Void = append(e.Void, n)
			return err
		}
		return nil
	})
	if err != nil {
		return Entry{}, err
	}
	if number != slot.Number {
		return Entry{}, fmt.Errorf("it is the entry of number %d", number)
	}
	return e, e.check()
}

// check returns what is wrong with an entry that was read.
func (e Entry) check() error {
	switch e.What {
	case Ended:
		if e.Stream != "" {
			return errors.New("the end of a journal names a stream")
		}
		return nil
	case Named:
	case Appended, Closed, Deleted, Adopted:
		if e.From < 1 || e.To < e.From-1 {
			return errors.New("it lacks the ticket of its commit")
		}
	default:
		return fmt.Errorf("this version of the library does not know entries of kind %q: update the library", e.What)
	}
	if e.Stream == "" {
		return errors.New("it names no stream")
	}
	return nil
}

// Size returns about how many bytes the entry takes of the log.
func (e Entry) Size() int {
	n := 64 + len(e.Stream)
	for _, t := range e.Types {
		n += 1 + len(t)
	}
	return n
}
