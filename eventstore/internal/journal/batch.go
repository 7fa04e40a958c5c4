package journal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// Batch is one commit of the log. It holds entries in the order of the log and, by their slots, how
// far each journal was read. (Rule F6)
type Batch struct {
	First   int64     // the position of the first entry; positions count entries from 1 on
	Time    time.Time // when the log took the entries over, to the millisecond
	Entries []Entry
}

// Last returns the position of the last entry.
func (b Batch) Last() int64 { return b.First + int64(len(b.Entries)) - 1 }

// Encode returns the batch as text. Each journal is named once, and each entry is a line:
//
//	first=17
//	time=1764126000150
//	journal=t5k2q1x7f3ab
//	appended 0/5 EventStores:BankAccount:1 4 6 1764126000123 FundsDeposited FundsWithdrawn
func (b Batch) Encode() []byte {
	var ids []string
	index := map[string]int{}
	for _, e := range b.Entries {
		if _, known := index[e.Journal]; !known {
			index[e.Journal] = len(ids)
			ids = append(ids, e.Journal)
		}
	}
	text := append(make([]byte, 0, 100*len(b.Entries)), "first="...)
	text = append(strconv.AppendInt(text, b.First, 10), '\n')
	if !b.Time.IsZero() {
		text = append(strconv.AppendInt(append(text, "time="...), b.Time.UnixMilli(), 10), '\n')
	}
	for _, id := range ids {
		text = append(text, "journal="+id+"\n"...)
	}
	for _, e := range b.Entries {
		text = append(text, e.What...)
		text = strconv.AppendInt(append(text, ' '), int64(index[e.Journal]), 10)
		text = strconv.AppendInt(append(text, '/'), e.Number, 10)
		if e.What != Ended {
			text = append(append(text, ' '), e.Stream...)
		}
		if e.What != Ended && e.What != Named {
			text = strconv.AppendInt(append(text, ' '), e.From, 10)
			text = strconv.AppendInt(append(text, ' '), e.To, 10)
			text = strconv.AppendInt(append(text, ' '), milliseconds(e.Time), 10)
			for _, t := range e.Types {
				text = append(append(text, ' '), frame.Escape(t)...)
			}
		}
		text = append(text, '\n')
	}
	return text
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// DecodeBatch decodes what [Batch.Encode] returns. The entries lack what the log does not hold: the
// slot before, the commit, and the numbers that are void.
func DecodeBatch(text []byte) (b Batch, err error) {
	var ids []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if value, ok := strings.CutPrefix(line, "first="); ok {
			b.First, err = strconv.ParseInt(value, 10, 64)
		} else if value, ok := strings.CutPrefix(line, "time="); ok {
			b.Time, err = parseMilliseconds(value)
		} else if id, ok := strings.CutPrefix(line, "journal="); ok {
			if !ValidID(id) {
				err = errors.New("it is no id of a journal")
			}
			ids = append(ids, id)
		} else {
			var e Entry
			if e, err = decodeLine(ids, line); err == nil {
				b.Entries = append(b.Entries, e)
			}
		}
		if err != nil {
			return Batch{}, fmt.Errorf("line %q: %w", line, err)
		}
	}
	if b.First < 1 || len(b.Entries) == 0 {
		return Batch{}, errors.New("it has no position or no entries")
	}
	return b, nil
}

func parseMilliseconds(text string) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(n).UTC(), nil
}

func decodeLine(ids []string, line string) (e Entry, err error) {
	words := strings.Split(line, " ")
	e.What = What(words[0])
	least := map[What]int{Ended: 2, Named: 3, Appended: 6, Closed: 6, Deleted: 6, Adopted: 6}[e.What]
	if least == 0 || len(words) < least {
		return Entry{}, errors.New("this version of the library does not know such entries: update the library")
	}
	index, number, _ := strings.Cut(words[1], "/")
	i, err := strconv.Atoi(index)
	if err == nil && (i < 0 || i >= len(ids)) {
		err = errors.New("it has no journal")
	}
	if err == nil {
		e.Journal = ids[i]
		e.Number, err = strconv.ParseInt(number, 10, 64)
	}
	if err == nil && e.Number < 1 {
		err = errors.New("it has no number")
	}
	if err != nil || e.What == Ended {
		return e, err
	}
	if e.Stream = words[2]; e.Stream == "" {
		return e, errors.New("it names no stream")
	}
	if e.What == Named {
		return e, nil
	}
	for i, n := range [...]*int64{&e.From, &e.To} {
		if *n, err = strconv.ParseInt(words[3+i], 10, 64); err != nil {
			return e, err
		}
	}
	if e.From < 1 || e.To < e.From-1 {
		return e, errors.New("its versions are not possible")
	}
	if e.Time, err = parseMilliseconds(words[5]); err != nil {
		return e, err
	}
	for _, word := range words[6:] {
		t, err := frame.Unescape(word)
		if err != nil {
			return e, err
		}
		e.Types = append(e.Types, t)
	}
	return e, nil
}
