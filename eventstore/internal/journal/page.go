package journal

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// PageEntries is how many entries of the log a page holds.
const PageEntries = 500

// Page holds PageEntries entries of the log under one key. Page n begins at position
// n*PageEntries+1. It is written once the log has all of its entries, and never changes. Its bytes
// follow from the log.
type Page struct {
	Batch         // its time is that of the batch with the page's last entry
	Version int64 // of that batch in the log
}

// PageOf returns the number of the page that has a position.
func PageOf(position int64) int64 { return (position - 1) / PageEntries }

// Page returns the key of a page of the log, counted from 0. It belongs to the partition of the
// log.
func (f Feed) Page(number int64) string {
	return "{" + f.Log() + "}:page:" + strconv.FormatInt(number, 10)
}

const kindPage = "page"

// Encode returns the record of the page.
func (p Page) Encode(feed Feed) []byte {
	w := frame.New(kindPage, feed.Log(), 0)
	w.Number("version", p.Version)
	return w.Finish(p.Batch.Encode())
}

// DecodePage decodes a page with that number.
func DecodePage(feed Feed, number int64, data []byte) (p Page, err error) {
	body, err := frame.Read(data, kindPage, feed.Log(), func(field, value string) error {
		if field == "version" {
			return frame.ParseNumber(value, &p.Version)
		}
		return nil
	})
	if err == nil {
		p.Batch, err = DecodeBatch(body)
	}
	switch {
	case err != nil:
		return Page{}, err
	case p.Version < 1:
		return Page{}, errors.New("it lacks its version of the log")
	case p.First != number*PageEntries+1 || len(p.Entries) != PageEntries:
		return Page{}, fmt.Errorf("it holds positions %d to %d", p.First, p.Last())
	}
	return p, nil
}
