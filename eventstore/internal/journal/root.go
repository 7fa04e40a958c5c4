package journal

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// Root lists the journals of a feed. (Rule F1)
type Root []Listed

// Listed is one journal in the root.
type Listed struct {
	ID string

	// Wake counts how often the journal's process woke up after it had been idle. An indexer looks
	// at a journal that has long been idle only now and then, until this number changes.
	Wake int64
}

const kindJournals = "journals"

// An OtherFeedError says that the store has a feed of another name.
type OtherFeedError struct{ Name string }

func (e *OtherFeedError) Error() string {
	return fmt.Sprintf("the feed of the store is called %q, and a store has one feed", e.Name)
}

// Names reports whether the root names a journal.
func (r Root) Names(id string) bool {
	return slices.ContainsFunc(r, func(l Listed) bool { return l.ID == id })
}

// With returns the root with a journal that it does not name, or with one more wake of one that it
// names.
func (r Root) With(id string) Root {
	next := slices.Clone(r)
	for i := range next {
		if next[i].ID == id {
			next[i].Wake++
			return next
		}
	}
	return append(next, Listed{ID: id})
}

// Without returns the root without some journals.
func (r Root) Without(ids ...string) Root {
	return slices.DeleteFunc(slices.Clone(r), func(l Listed) bool { return slices.Contains(ids, l.ID) })
}

// Encode returns the record of the root.
func (r Root) Encode(feed Feed) []byte {
	w := frame.New(kindJournals, RootPartition, 24*len(r))
	w.Text("feed", string(feed))
	for _, l := range r {
		line := l.ID
		if l.Wake > 0 {
			line += " " + strconv.FormatInt(l.Wake, 10)
		}
		w.Text("journal", line)
	}
	return w.Finish()
}

// DecodeRoot decodes the record of the root. A root that is absent is an empty value. If the store
// has another feed, DecodeRoot returns an [OtherFeedError].
func DecodeRoot(feed Feed, data []byte) (r Root, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	name, listed := "", map[string]bool{}
	_, err = frame.Read(data, kindJournals, RootPartition, func(field, value string) error {
		switch field {
		case "feed":
			name = value
		case "journal":
			l, err := parseListed(value)
			if err == nil && listed[l.ID] {
				err = errors.New("it is listed twice")
			}
			r, listed[l.ID] = append(r, l), true
			return err
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case name == "":
		return nil, errors.New("it does not name the feed")
	case name != string(feed):
		return nil, &OtherFeedError{name}
	}
	return r, nil
}

func parseListed(text string) (l Listed, err error) {
	id, wake, woken := strings.Cut(text, " ")
	if !ValidID(id) {
		return Listed{}, fmt.Errorf("%q is no id of a journal", id)
	}
	l.ID = id
	if woken {
		if err := frame.ParseNumber(wake, &l.Wake); err != nil || l.Wake < 1 {
			return Listed{}, fmt.Errorf("%q is no number of wakes", wake)
		}
	}
	return l, nil
}
