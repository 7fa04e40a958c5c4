package journal

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// Slot is one number of a journal. The zero Slot is none.
type Slot struct {
	Journal string // the id of the journal
	Number  int64  // from 1 on
}

// IsZero reports whether s is no slot.
func (s Slot) IsZero() bool { return s == Slot{} }

// String returns the slot as journal/number, or "-" for none.
func (s Slot) String() string {
	if s.IsZero() {
		return "-"
	}
	return s.Journal + "/" + strconv.FormatInt(s.Number, 10)
}

// ParseSlot parses what [Slot.String] returns.
func ParseSlot(text string) (Slot, error) {
	if text == "-" {
		return Slot{}, nil
	}
	id, number, _ := strings.Cut(text, "/")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || !ValidID(id) {
		return Slot{}, fmt.Errorf("%q is no slot of a journal", text)
	}
	return Slot{id, n}, nil
}

// ValidID reports whether a text may be the id of a journal: lowercase letters and digits.
func ValidID(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// maxID is how many bytes the id of a journal has at most.
const maxID = 40

// Feed is the name of a feed. It makes the keys of everything that belongs to the feed. Database
// names are never empty, so none of these keys can be a key of a user's stream.
type Feed string

// Log returns the name of the stream that is the feed's log.
func (f Feed) Log() string { return ":feed:" + frame.Escape(string(f)) }

// The root lists the journals of the store's feed. Its key does not depend on the feed's name. So
// the store has one root, which says what the one feed of the store is called.
const (
	RootKey       = "{" + RootPartition + "}:journals"
	RootPartition = ":feed"
)

// Names returns the key of a page of the names of streams, counted from 0. It belongs to the
// partition of the log.
func (f Feed) Names(page int64) string {
	return "{" + f.Log() + "}:names:" + strconv.FormatInt(page, 10)
}

// Partition returns the partition that holds the entries of a journal.
func (f Feed) Partition(journal string) string {
	return ":journal:" + frame.Escape(string(f)) + "." + journal
}

// LongestKey returns an upper bound of the length of the keys of the feed, except for those that
// contain the name of a stream.
func (f Feed) LongestKey() int {
	return max(len("{"+f.Partition("")+"}:")+maxID+maxDigits, len("{"+f.Log()+"}:snapshot:")+maxDigits)
}

// maxDigits is how many digits a number has at most.
const maxDigits = len("9223372036854775807")

// Key returns the key of the entry of a slot.
func (f Feed) Key(s Slot) string {
	return "{" + f.Partition(s.Journal) + "}:" + strconv.FormatInt(s.Number, 10)
}
