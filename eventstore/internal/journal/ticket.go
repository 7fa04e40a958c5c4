package journal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Ticket says under which slot a commit is in a journal, which versions of the stream its entry
// covers, and the slot of the entry before it. The head and the last event of a commit carry the
// commit's ticket. (Rule F5)
type Ticket struct {
	Slot
	From, To int64 // From is To+1 if the entry is not about events
	After    Slot  // none if the entry is the stream's first

	// Alone is what the entry tells, if only the head carries the ticket because its commit had no
	// events. The entry of such a ticket must stand before the next commit of the stream. (Rule
	// F10)
	Alone What
}

// String returns the ticket as it is stored.
func (t Ticket) String() string {
	s := t.Slot.String() + " " + strconv.FormatInt(t.From, 10) + " " + strconv.FormatInt(t.To, 10) + " " + t.After.String()
	if t.Alone != "" {
		s += " " + string(t.Alone)
	}
	return s
}

// ParseTicket parses what [Ticket.String] returns. It ignores words that a later version adds.
func ParseTicket(text string) (t Ticket, err error) {
	words := strings.Split(text, " ")
	if len(words) < 4 {
		return Ticket{}, fmt.Errorf("%q is no ticket", text)
	}
	t.Slot, err = ParseSlot(words[0])
	if err == nil {
		t.From, err = strconv.ParseInt(words[1], 10, 64)
	}
	if err == nil {
		t.To, err = strconv.ParseInt(words[2], 10, 64)
	}
	if err == nil {
		t.After, err = ParseSlot(words[3])
	}
	if err == nil && (t.Slot.IsZero() || t.From < 1 || t.To < t.From-1) {
		err = errors.New("its slot or its versions are not possible")
	}
	if err != nil {
		return Ticket{}, fmt.Errorf("%q is no ticket: %w", text, err)
	}
	if len(words) > 4 {
		t.Alone = What(words[4])
	}
	return t, nil
}
