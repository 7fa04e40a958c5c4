// Package frame builds and reads records. Everything that the event store stores is a record. It
// begins with text that a person can read in ten years
// without this library. A body in any form follows.
//
//	eventstore/1 event 1c291ca3     format, kind, CRC-32C of all that follows this line
//	stream=EventStores:BankAccount:123456000
//	version=7
//	…                               name=value, percent-encoded where needed; empty ones are left out
//	                                an empty line
//	{"Amount":50000}                the body
//
// Readers ignore unknown fields, so a later version can add fields. A change to the meaning of the
// existing fields raises the format number.
package frame

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// Format is the first word of every record.
const Format = "eventstore/1"

// Castagnoli is the polynomial of the checksum.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Writer builds one record.
type Writer struct {
	buf   []byte
	start int // where the checksummed part begins
}

// New begins the record of a kind, in a stream whose name is escaped already.
func New(kind, stream string, sizeHint int) *Writer {
	w := &Writer{buf: make([]byte, 0, sizeHint+256)}
	w.buf = append(w.buf, Format+" "...)
	w.buf = append(w.buf, kind...)
	w.buf = append(w.buf, " 00000000\n"...)
	w.start = len(w.buf)
	w.buf = append(w.buf, "stream="+stream+"\n"...)
	return w
}

// Text writes a field unless the value is empty.
func (w *Writer) Text(name, value string) {
	if value != "" {
		w.Line(name, value)
	}
}

// Line writes a field even if the value is empty, for fields that form a list.
func (w *Writer) Line(name, value string) {
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '=')
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == 0x7f || c == '%' {
			w.buf = appendPercent(w.buf, c)
		} else {
			w.buf = append(w.buf, c)
		}
	}
	w.buf = append(w.buf, '\n')
}

// Number writes a field unless the value is 0.
func (w *Writer) Number(name string, value int64) {
	if value == 0 {
		return
	}
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '=')
	w.buf = strconv.AppendInt(w.buf, value, 10)
	w.buf = append(w.buf, '\n')
}

// Time writes a field in UTC unless the value is the zero time.
func (w *Writer) Time(name string, value time.Time) {
	if value.IsZero() {
		return
	}
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '=')
	w.buf = value.UTC().AppendFormat(w.buf, time.RFC3339Nano)
	w.buf = append(w.buf, '\n')
}

// Finish adds the body and returns the record.
func (w *Writer) Finish(body ...[]byte) []byte {
	w.buf = append(w.buf, '\n')
	for _, b := range body {
		w.buf = append(w.buf, b...)
	}
	sum := crc32.Checksum(w.buf[w.start:], Castagnoli)
	copy(w.buf[w.start-9:], fmt.Appendf(nil, "%08x", sum))
	return w.buf
}

// Read checks the frame of a record and that the record belongs to stream. It calls field for
// each field and returns the body, which shares the memory of data.
func Read(data []byte, kind, stream string, field func(name, value string) error) (body []byte, err error) {
	line, rest, ok := bytes.Cut(data, []byte{'\n'})
	format, words, _ := strings.Cut(string(line[:min(len(line), 64)]), " ")
	its, checksum, spaced := strings.Cut(words, " ")
	switch {
	case !ok || !spaced || strings.Contains(checksum, " ") || !strings.HasPrefix(format, "eventstore/"):
		return nil, errors.New("the value was not written by this event store")
	case format != Format:
		return nil, fmt.Errorf("the value has format %q, but this version of the library reads %q: update the library", format, Format)
	case its != kind:
		return nil, fmt.Errorf("the value is a record of kind %q, not %q", its, kind)
	}
	if sum, err := strconv.ParseUint(checksum, 16, 32); err != nil || crc32.Checksum(rest, Castagnoli) != uint32(sum) {
		return nil, fmt.Errorf("the checksum %q does not match the value", checksum)
	}
	end := bytes.Index(rest, []byte("\n\n"))
	if end < 0 {
		return nil, errors.New("the value ends within its header")
	}
	header := string(rest[:end]) // one string that all fields share
	seen := false
	for len(header) > 0 {
		var line string
		line, header, _ = strings.Cut(header, "\n")
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("the header has a line %q without =", line)
		}
		if name == "stream" {
			if value != stream {
				return nil, fmt.Errorf("the value belongs to stream %s", value)
			}
			seen = true
			continue
		}
		if value, err = Unescape(value); err != nil {
			return nil, err
		}
		if err := field(name, value); err != nil {
			return nil, fmt.Errorf("field %s: %w", name, err)
		}
	}
	if !seen {
		return nil, errors.New("the header has no stream")
	}
	return rest[end+2:], nil
}

// ParseNumber parses what [Writer.Number] has written.
func ParseNumber(value string, to *int64) (err error) {
	*to, err = strconv.ParseInt(value, 10, 64)
	return err
}

// ParseTime parses what [Writer.Time] has written.
func ParseTime(value string, to *time.Time) (err error) {
	*to, err = time.Parse(time.RFC3339Nano, value)
	return err
}
