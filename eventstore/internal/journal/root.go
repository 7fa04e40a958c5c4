package journal

import (
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
	w := frame.New(kindJournals, feed.Log(), 24*len(r))
	for _, l := range r {
		line := l.ID
		if l.Wake > 0 {
			line += " " + strconv.FormatInt(l.Wake, 10)
		}
		w.Text("journal", line)
	}
	return w.Finish()
}

// DecodeRoot decodes the record of the root. A root that is absent is an empty value.
func DecodeRoot(feed Feed, data []byte) (r Root, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	_, err = frame.Read(data, kindJournals, feed.Log(), func(field, value string) error {
		if field != "journal" {
			return nil
		}
		var l Listed
		id, wake, woken := strings.Cut(value, " ")
		if l.ID = id; !ValidID(id) {
			return fmt.Errorf("%q is no id of a journal", id)
		}
		if woken {
			if err := frame.ParseNumber(wake, &l.Wake); err != nil {
				return err
			}
		}
		r = append(r, l)
		return nil
	})
	return r, err
}
