package chaos

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// A journal is what a writer process reports about its operations, one entry per line, through a
// pipe. The writer notes an append before sending it and again when it has ended. Nothing is lost
// with the process: an append without an end has an unknown outcome.

type entryKind string

const (
	appendBegan entryKind = "append"
	appendEnded entryKind = "ended"
	readEnded   entryKind = "read"
	broken      entryKind = "broken" // an error that must never occur

	mixed           entryKind = "mixed" // a session without the feed begins
	endBegan        entryKind = "end"   // of a stream
	endAcknowledged entryKind = "end acknowledged"
	delivered       entryKind = "delivered" // an item of a feed to a follower

	opBegan entryKind = "operation" // on an account
	opEnded entryKind = "operation ended"
	got     entryKind = "got"     // a message
	retried entryKind = "retried" // a parked stream, by an operator
	stopped entryKind = "stopped" // a subscription, whose process runs it again
)

// what says what happened to a stream.
type what string

const (
	appendedEvent what = ""
	closed        what = "closed"
	deleted       what = "deleted"
)

type outcome string

const (
	unknown      outcome = "" // also for an append without an end
	acknowledged outcome = "acknowledged"
	refused      outcome = "refused"
)

// entry is one line of a journal.
type entry struct {
	Kind   entryKind
	At     int64 // when it was written, by the monotonic clock
	Client string
	Stream string

	Append   string `json:",omitempty"` // its unique name
	Events   int    `json:",omitempty"`
	Expected int64  `json:",omitempty"` // the version; -1 for any
	Idem     string `json:",omitempty"`
	Apart    bool   `json:",omitempty"` // without the feed that other appends go to

	Outcome outcome `json:",omitempty"`
	Version int64   `json:",omitempty"` // of the last event, where acknowledged
	Used    int64   `json:",omitempty"` // where its idempotency id was said to stand
	Error   string  `json:",omitempty"`

	Read *read `json:",omitempty"`

	What what `json:",omitempty"` // of an end, and of an item
	Part int  `json:",omitempty"` // of an item: which event of its append it is

	Op      *operation `json:",omitempty"`
	Message *message   `json:",omitempty"`
}

// read is what a client saw of a stream: events From to To.
type read struct {
	Began, Ended int64
	From, To     int64
	Digest       string // of the events, see digest; empty if the read did not look at them
	Current      bool   // at some moment between Began and Ended, the stream ended at To
	Complete     bool   // the read came to its end, so an append ends at To
	client       string
}

// appended is an append as its client knows it.
type appended struct {
	name     string
	client   string
	events   int
	expected int64
	idem     string
	apart    bool
	began    int64

	outcome outcome
	ended   int64 // 0 if it did not end, or its outcome is unknown
	version int64
	used    int64
	err     string
}

// journal writes the entries of one process. It is safe for concurrent use.
type journal struct {
	mu  sync.Mutex
	out *os.File
}

// write returns when the line can no longer be lost with this process.
func (j *journal) write(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.At = monotonic()
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.out.Write(append(line, '\n'))
	}
	if err != nil { // the reading side is gone
		fmt.Fprintln(os.Stderr, "journal:", err)
		os.Exit(1)
	}
}

// streamHistory is everything that all clients did with one stream.
type streamHistory struct {
	appends []*appended
	reads   []*read

	mixed      bool // writers without the feed may have appended
	endsBegan  map[what]bool
	ends       map[what]bool // acknowledged
	deliveries []item        // in the order of their times
}

// String returns all operations as text, in the order in which they began.
func (s *streamHistory) String() string {
	type line struct {
		began int64
		text  string
	}
	var lines []line
	for _, a := range s.appends {
		text := fmt.Sprintf("append %s of %d events", a.name, a.events)
		if a.expected >= 0 {
			text += fmt.Sprintf(" expecting %d", a.expected)
		}
		if a.idem != "" {
			text += " idempotent " + a.idem
		}
		ended := "…"
		if a.ended > 0 {
			ended = fmt.Sprintf("%.6fs", float64(a.ended)/1e9)
		}
		lines = append(lines, line{a.began, fmt.Sprintf("to %s %s -> %s %d %s", ended, text, cmp.Or(string(a.outcome), "unknown"), a.version, a.err)})
	}
	for _, r := range s.reads {
		lines = append(lines, line{r.Began, fmt.Sprintf("to %.6fs %s read %d to %d, current %t, complete %t, digest %s",
			float64(r.Ended)/1e9, r.client, r.From, r.To, r.Current, r.Complete, r.Digest)})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.began, b.began) })
	var all strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&all, "\t%.6fs %s\n", float64(l.began)/1e9, l.text)
	}
	return all.String()
}

// history is what the journals of all writer processes report. It is safe for concurrent use.
type history struct {
	mu           sync.Mutex
	streams      map[string]*streamHistory
	byName       map[string]*appended
	acknowledged int
	reads        int
	deliveries   int
	broken       []string

	ops     map[string]*operation
	got     map[string][]message // by id
	retried int
	stops   []string
}

func newHistory() *history {
	return &history{streams: map[string]*streamHistory{}, byName: map[string]*appended{}, ops: map[string]*operation{}, got: map[string][]message{}}
}

// follow reads the journal of one process until it ends. It ignores a last line that the process
// did not finish.
func (h *history) follow(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("the journal says %q: %w", line, err)
		}
		if err := h.add(e); err != nil {
			return err
		}
	}
}

func (h *history) add(e entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e.Kind {
	case got:
		h.got[e.Message.ID] = append(h.got[e.Message.ID], *e.Message)
		return nil
	case retried:
		h.retried++
		return nil
	case stopped:
		h.stops = append(h.stops, fmt.Sprintf("%s: %s", e.Client, e.Error))
		return nil
	case broken:
		h.broken = append(h.broken, fmt.Sprintf("%s on stream %q: %s", e.Client, e.Stream, e.Error))
		return nil
	}
	s := h.streams[e.Stream]
	if s == nil {
		s = &streamHistory{endsBegan: map[what]bool{}, ends: map[what]bool{}}
		h.streams[e.Stream] = s
	}
	switch e.Kind {
	case appendBegan:
		if h.byName[e.Append] != nil {
			return fmt.Errorf("append %s began twice", e.Append)
		}
		a := &appended{name: e.Append, client: e.Client, events: e.Events, expected: e.Expected, idem: e.Idem, apart: e.Apart, began: e.At}
		h.byName[a.name] = a
		s.appends = append(s.appends, a)
	case appendEnded:
		a := h.byName[e.Append]
		if a == nil || a.outcome != unknown {
			return fmt.Errorf("append %s ended with the invalid outcome %q", e.Append, e.Outcome)
		}
		a.outcome, a.version, a.used, a.err = e.Outcome, e.Version, e.Used, e.Error
		if a.outcome != unknown {
			a.ended = e.At
		}
		if a.outcome == acknowledged {
			h.acknowledged++
		}
	case readEnded:
		e.Read.client = e.Client
		s.reads = append(s.reads, e.Read)
		h.reads++
	case mixed:
		s.mixed = true
	case endBegan:
		s.endsBegan[e.What] = true
	case endAcknowledged:
		s.ends[e.What] = true
	case delivered:
		s.deliveries = append(s.deliveries, item{What: e.What, Version: e.Version, Append: e.Append, Part: e.Part, at: e.At, client: e.Client})
		h.deliveries++
	case opBegan:
		h.ops[e.Op.Name] = e.Op
	case opEnded:
		h.ops[e.Op.Name] = e.Op
		if e.Op.Outcome == acknowledged && e.Op.Kind == "Sent" {
			h.acknowledged++
		}
	default:
		return fmt.Errorf("a journal entry has the unknown kind %q", e.Kind)
	}
	return nil
}

// count returns how many appends were acknowledged, and the errors that must never occur.
func (h *history) count() (acknowledged int, broken []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acknowledged, h.broken
}

// generations returns, for each slot, the newest stream that any client has used.
func (h *history) generations(slots int) []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	latest := make([]int, slots)
	for name := range h.streams {
		slot, generation := parseStreamID(name)
		latest[slot] = max(latest[slot], generation)
	}
	return latest
}

// streamID returns the id of a stream. Each slot has several streams, one after the other, so that
// no history grows too long to be checked.
func streamID(slot, generation int) string { return fmt.Sprintf("%d.%d", slot, generation) }

func parseStreamID(id string) (slot, generation int) {
	if _, err := fmt.Sscanf(id, "%d.%d", &slot, &generation); err != nil {
		panic(fmt.Sprintf("stream %q: %v", id, err))
	}
	return slot, generation
}
