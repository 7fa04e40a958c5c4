package journal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

const (
	kindNames = "names"
	kindMark  = "name"
)

// Name is one line of the catalogue.
type Name struct {
	Stream string // escaped

	// Position has the place of the stream's first commit in the log. If the stream has not begun,
	// it has the place of its name. A stream that begins later has another line.
	Position int64
	Begun    bool
	Time     time.Time // of the first commit; zero if it is not known
}

// PageNames is how many names a page of the catalogue has when it is full. It is a variable only
// for the simulation, which makes it small.
var PageNames = 500

// NamesPage is a page of the catalogue.
type NamesPage struct {
	Position int64 // of the log, up to which every name is in the catalogue
	Names    []Name
}

// Encode returns the record of the page. Each name is a field:
//
//	begun=17 1764126000123 EventStores:BankAccount:1
//	named=18 0 EventStores:BankAccount:2
func (p NamesPage) Encode(feed Feed) []byte {
	w := frame.New(kindNames, feed.Log(), 64*len(p.Names))
	w.Number("position", p.Position)
	for _, n := range p.Names {
		field := "named"
		if n.Begun {
			field = "begun"
		}
		w.Line(field, strconv.FormatInt(n.Position, 10)+" "+strconv.FormatInt(milliseconds(n.Time), 10)+" "+n.Stream)
	}
	return w.Finish()
}

// DecodeNames decodes a page of the catalogue. A page that is absent is an empty value.
func DecodeNames(feed Feed, data []byte) (p NamesPage, err error) {
	if len(data) == 0 {
		return NamesPage{}, nil
	}
	_, err = frame.Read(data, kindNames, feed.Log(), func(field, value string) error {
		switch field {
		case "position":
			return frame.ParseNumber(value, &p.Position)
		case "begun", "named":
			n, err := parseName(value)
			n.Begun = field == "begun"
			p.Names = append(p.Names, n)
			return err
		}
		return nil
	})
	if err == nil && p.Position < 1 {
		err = errors.New("it lacks its position")
	}
	return p, err
}

func parseName(value string) (n Name, err error) {
	words := strings.Split(value, " ")
	if len(words) < 3 {
		return Name{}, fmt.Errorf("%q names no stream", value)
	}
	n.Stream = words[2]
	if n.Position, err = strconv.ParseInt(words[0], 10, 64); err == nil {
		n.Time, err = parseMilliseconds(words[1])
	}
	return n, err
}

// Mark returns the key that says that the catalogue has a stream. It belongs to the partition of
// the log.
func (f Feed) Mark(stream string) string { return "{" + f.Log() + "}:name:" + stream }

// EncodeMark returns the record that says that the catalogue has a stream, and whether the stream
// has begun.
func EncodeMark(feed Feed, n Name) []byte {
	w := frame.New(kindMark, feed.Log(), 0)
	w.Text("of", n.Stream)
	if n.Begun {
		w.Text("state", "begun")
	}
	return w.Finish()
}

// DecodeMark reports whether a mark says that its stream has begun.
func DecodeMark(feed Feed, data []byte) (begun bool, err error) {
	_, err = frame.Read(data, kindMark, feed.Log(), func(field, value string) error {
		begun = begun || field == "state" && value == "begun"
		return nil
	})
	return begun, err
}
