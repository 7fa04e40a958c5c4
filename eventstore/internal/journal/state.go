package journal

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// State is what an indexer knows after a batch. It is the log's snapshot.
type State struct {
	Position int64 // of the last entry
	Vector   Vector

	// Kept and KeptVersion are the position and the version of the log's snapshot that the state
	// was read from, or 0. They are not stored.
	Kept, KeptVersion int64
}

// Take notes that a batch is in the log.
func (s *State) Take(b Batch) error {
	if b.First != s.Position+1 {
		return fmt.Errorf("it begins at position %d, after position %d", b.First, s.Position)
	}
	for _, e := range b.Entries {
		if err := s.Vector.Check(e.Slot); err != nil && e.What != Ended {
			return err
		}
		s.Vector.Take(e)
	}
	s.Position = b.Last()
	return nil
}

// Clone returns a copy that shares nothing that changes.
func (s State) Clone() State { return State{s.Position, s.Vector.Clone(), s.Kept, s.KeptVersion} }

// Encode returns the state as text. Each journal is a line with its highest number and the numbers
// that were absent, or with the word ended:
//
//	position=17
//	t5k2q1x7f3ab 5 3
//	t5k2q1zw0c9d 8 ended
func (s State) Encode() []byte {
	text := fmt.Appendf(nil, "position=%d\n", s.Position)
	ids := make([]string, 0, len(s.Vector))
	for id := range s.Vector {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		p := s.Vector[id]
		text = fmt.Appendf(text, "%s %d", id, p.High)
		for _, n := range p.Open {
			text = fmt.Appendf(text, " %d", n)
		}
		if p.Ended {
			text = append(text, " ended"...)
		}
		text = append(text, '\n')
	}
	return text
}

// NewState returns the state of a log that has no entries.
func NewState() State { return State{Vector: Vector{}} }

// DecodeState decodes what [State.Encode] returns.
func DecodeState(text []byte) (State, error) {
	s := NewState()
	for line := range strings.Lines(string(text)) {
		if err := s.decodeLine(strings.TrimSuffix(line, "\n")); err != nil {
			return State{}, fmt.Errorf("line %q: %w", line, err)
		}
	}
	s.Kept = s.Position
	return s, nil
}

func (s *State) decodeLine(line string) (err error) {
	if value, ok := strings.CutPrefix(line, "position="); ok {
		if s.Position, err = strconv.ParseInt(value, 10, 64); err == nil && s.Position < 0 {
			err = errors.New("it is negative")
		}
		return err
	}
	words := strings.Split(line, " ")
	if len(words) < 2 || !ValidID(words[0]) {
		return errors.New("it is about no journal")
	}
	var p Progress
	if p.High, err = strconv.ParseInt(words[1], 10, 64); err != nil {
		return err
	}
	if _, twice := s.Vector[words[0]]; twice || p.High < 1 {
		return errors.New("its journal is listed twice, or nothing was read of it")
	}
	for _, word := range words[2:] {
		if word == "ended" {
			p.Ended = true
			continue
		}
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return err
		}
		if last := len(p.Open) - 1; n < 1 || n >= p.High || last >= 0 && n <= p.Open[last] {
			return errors.New("its open numbers are out of order")
		}
		p.Open = append(p.Open, n)
	}
	s.Vector[words[0]] = p
	return nil
}
