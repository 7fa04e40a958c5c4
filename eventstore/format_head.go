package eventstore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// head is the one record that decides which events of a stream are committed. An empty stream has
// the zero head with first set to 1.
type head struct {
	version int64  // last committed version; 0 is an empty stream
	first   int64  // lowest version that still counts
	commit  string // unique id of the last commit
	time    time.Time

	// A closed stream takes no more appends. A deleted stream is closed too, and has no events:
	// first is above version. Both states are permanent.
	closed, deleted bool

	// swept says that all events of the deleted stream were removed. Only what other writers stored
	// later may be there.
	swept bool

	// size is the size of the largest event of the last commit, in bytes. It is 0 if an older
	// version of this library wrote the head. Reads use it to estimate how much to ask for.
	size int

	// ticket is the ticket of the last commit that is in a journal. It is zero if there was none,
	// or if a version of this library that knows no journals wrote the head. (Rule F5)
	ticket journal.Ticket

	// tail holds events up to version, in ascending order, that may not be stored under their own
	// keys yet. Until they are, the tail is the only place that holds them.
	tail []record
}

func emptyHead() head { return head{first: 1} }

// encode returns the record of the head. Its body is the records of the tail, one after the other.
func (h head) encode(name string) []byte {
	size := 0
	bodies := make([][]byte, len(h.tail))
	for i, r := range h.tail {
		bodies[i] = r.data
		size += len(r.data) + 24
	}
	w := frame.New(kindHead, name, size)
	w.Number("version", h.version)
	w.Number("first", h.first)
	w.Text("commit", h.commit)
	w.Time("time", h.time)
	w.Number("size", int64(h.size))
	if !h.ticket.IsZero() {
		w.Text("ticket", h.ticket.String())
	}
	switch {
	case h.deleted:
		w.Text("state", "deleted")
	case h.closed:
		w.Text("state", "closed")
	}
	if h.swept {
		w.Text("swept", "yes")
	}
	for _, r := range h.tail {
		w.Text("tail", strconv.FormatInt(r.version, 10)+" "+strconv.Itoa(len(r.data)))
	}
	return w.Finish(bodies...)
}

// decodeHead decodes a head with its whole tail. The records share the memory of data.
func decodeHead(stream Stream, name string, data []byte) (head, error) {
	var (
		h       head
		lengths []int
	)
	body, err := frame.Read(data, kindHead, name, func(field, value string) error {
		switch field {
		case "version":
			return frame.ParseNumber(value, &h.version)
		case "first":
			return frame.ParseNumber(value, &h.first)
		case "commit":
			h.commit = value
		case "time":
			return frame.ParseTime(value, &h.time)
		case "size":
			var size int64
			err := frame.ParseNumber(value, &size)
			h.size = int(size)
			return err
		case "ticket":
			var err error
			h.ticket, err = journal.ParseTicket(value)
			return err
		case "state":
			h.closed, h.deleted = true, value == "deleted"
			if value != "closed" && value != "deleted" {
				return fmt.Errorf("this version of the library does not know %q", value)
			}
		case "swept":
			h.swept = value == "yes"
		case "tail":
			version, length, _ := strings.Cut(value, " ")
			var r record
			if err := frame.ParseNumber(version, &r.version); err != nil {
				return err
			}
			n, err := strconv.ParseUint(length, 10, 31)
			if err != nil {
				return err
			}
			h.tail, lengths = append(h.tail, r), append(lengths, int(n))
		}
		return nil
	})
	switch {
	case err != nil:
		return head{}, err
	case h.version < 1 || h.first < 1 || h.commit == "":
		return head{}, errors.New("the head lacks version, first or commit")
	case h.deleted && (h.first <= h.version || len(h.tail) > 0):
		return head{}, errors.New("the head of a deleted stream has events")
	case h.ticket.To > h.version:
		return head{}, fmt.Errorf("the head is at version %d, below its ticket for %s", h.version, h.ticket.Slot)
	}
	below := int64(0)
	for i, want := range h.tail {
		if want.version <= below || want.version > h.version {
			return head{}, fmt.Errorf("the head's tail has version %d out of order", want.version)
		}
		if lengths[i] > len(body) {
			return head{}, errors.New("the head ends within its tail")
		}
		r, _, _, err := decodeEventAt(stream, name, want.version, body[:lengths[i]:lengths[i]])
		if err != nil {
			return head{}, fmt.Errorf("version %d in the head's tail: %w", want.version, err)
		}
		h.tail[i] = r
		below, body = want.version, body[lengths[i]:]
	}
	if len(body) > 0 {
		return head{}, fmt.Errorf("the head has %d bytes after its tail", len(body))
	}
	return h, nil
}

// inTail returns the record of one version if the tail holds it.
func (h head) inTail(version int64) (record, bool) {
	i, ok := slices.BinarySearchFunc(h.tail, version, func(r record, v int64) int { return cmp.Compare(r.version, v) })
	if !ok {
		return record{}, false
	}
	return h.tail[i], true
}
