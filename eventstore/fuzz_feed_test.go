package eventstore

import (
	"bytes"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// FuzzFeedDecoding checks that no value, whatever wrote it, makes a decoder of the feed panic or
// take much memory, and that what a decoder returns comes back when it is encoded.
func FuzzFeedDecoding(f *testing.F) {
	for _, r := range storedFeedRecords() {
		data, err := os.ReadFile(formatFile(r.file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		if header, body, ok := bytes.Cut(data, []byte("\n")); ok && bytes.HasPrefix(header, []byte(frame.Format)) {
			_, fields, _ := bytes.Cut(body, []byte("\n"))
			f.Add(fields)
		}
	}
	f.Add([]byte("t5k2q1x7f3ab/1 1 1 t5k2q1zw0c9d/9223372036854775807 closed"))
	f.Add([]byte("first=1\njournal=a\nnamed 0/9223372036854775807 d:t:i\n"))
	slot := journal.Slot{Journal: "t5k2q1x7f3ab", Number: 2}
	f.Fuzz(func(t *testing.T, data []byte) {
		if ticket, err := journal.ParseTicket(string(data)); err == nil {
			if again, err := journal.ParseTicket(ticket.String()); err != nil || again != ticket {
				t.Errorf("the ticket %+v came back as %+v, %v", ticket, again, err)
			}
			if n := len(ticket.String()); n > ticketBytes && len(ticket.Alone) < 16 {
				t.Errorf("the ticket has %d bytes", n)
			}
		}
		// With a valid checksum, to get past the check, and as it is.
		framed := func(kind, stream string) []byte {
			w := frame.New(kind, stream, 0)
			for line := range strings.Lines(string(data)) {
				if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok && name != "" {
					if plain, err := frame.Unescape(value); err == nil {
						w.Line(name, plain)
					}
				}
			}
			return w.Finish()
		}
		for _, value := range [][]byte{data, framed("entry", formatFeed.Partition(slot.Journal))} {
			e, err := journal.DecodeEntry(formatFeed, slot, value)
			if err != nil {
				continue
			}
			if e.Slot != slot || e.Size() > 2*len(value)+200 {
				t.Errorf("%q is taken for %+v", value, e)
			}
			if again, err := journal.DecodeEntry(formatFeed, slot, e.Encode(formatFeed)); err != nil || !reflect.DeepEqual(again, e) {
				t.Errorf("the entry %+v came back as %+v, %v", e, again, err)
			}
		}
		for _, value := range [][]byte{data, framed("journals", journal.RootPartition)} {
			root, err := journal.DecodeRoot(formatFeed, value)
			if err != nil {
				continue
			}
			if again, err := journal.DecodeRoot(formatFeed, root.Encode(formatFeed)); err != nil || !slices.Equal(again, root) {
				t.Errorf("the root %+v came back as %+v, %v", root, again, err)
			}
		}
		for _, value := range [][]byte{data, framed("names", formatFeed.Log())} {
			names, err := journal.DecodeNames(formatFeed, value)
			if err != nil || len(value) == 0 {
				continue
			}
			if again, err := journal.DecodeNames(formatFeed, names.Encode(formatFeed)); err != nil || !reflect.DeepEqual(again, names) {
				t.Errorf("the names %+v came back as %+v, %v", names, again, err)
			}
		}
		for _, value := range [][]byte{data, framed("page", formatFeed.Log())} {
			_, _ = journal.DecodePage(formatFeed, 1, value)
			_, _ = journal.DecodeMark(formatFeed, value)
		}
		if batch, err := journal.DecodeBatch(data); err == nil {
			if again, err := journal.DecodeBatch(batch.Encode()); err != nil || !reflect.DeepEqual(again, batch) {
				t.Errorf("the batch %+v came back as %+v, %v", batch, again, err)
			}
			state := journal.NewState()
			state.Position = batch.First - 1
			if err := state.Take(batch); err == nil {
				checkState(t, state)
			}
		}
		if state, err := journal.DecodeState(data); err == nil {
			checkState(t, state)
		}
	})
}

// checkState checks that a state comes back, and that it remembers no more than it may.
func checkState(t *testing.T, state journal.State) {
	t.Helper()
	state.Kept = state.Position
	if again, err := journal.DecodeState(state.Encode()); err != nil || !reflect.DeepEqual(again, state) {
		t.Errorf("the state %+v came back as %+v, %v", state, again, err)
	}
}

func TestANumberThatCannotBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	for _, number := range []int64{1<<16 + 1, 1 << 62} {
		slot := journal.Slot{Journal: "a", Number: number}
		e := journal.Entry{Slot: slot, What: journal.Named, Stream: "d:t:i"}
		state := journal.NewState()
		if state.Vector.Ready(e) || state.Vector.Check(slot) == nil || state.Take(journal.Batch{First: 1, Entries: []journal.Entry{e}}) == nil || len(state.Vector) > 0 {
			t.Errorf("the number %d is taken for possible", number)
		}
		if err := state.Vector.Check(slot); !strings.Contains(err.Error(), slot.String()) {
			t.Errorf("the error does not name the slot: %v", err)
		}
		end := journal.Entry{Slot: slot, What: journal.Ended}
		if state.Vector.Ready(end) {
			t.Errorf("the journal has ended at %d although nothing was read of it", number)
		}
	}
	near := journal.Slot{Journal: "a", Number: 64}
	if err := (journal.Vector{}).Check(near); err != nil {
		t.Error(err)
	}
}
