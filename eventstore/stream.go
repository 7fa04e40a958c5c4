package eventstore

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// Stream names the history of one aggregate. Each part is valid UTF-8, not blank and at most 200
// bytes long. Names are case-sensitive.
type Stream struct {
	Database string `json:"database,omitempty"` // the partition id of metadata, for example one for each tenant
	Type     string `json:"type,omitempty"`     // aggregate type
	ID       string `json:"id,omitempty"`       // aggregate instance
}

// maxNameBytes keeps keys short enough for stores to accept and for people to read.
const maxNameBytes = 200

// String returns the three parts, escaped and joined by colons. The keys of the stream in the store
// begin with this name. It is different for every stream.
func (s Stream) String() string {
	return frame.Escape(s.Database) + ":" + frame.Escape(s.Type) + ":" + frame.Escape(s.ID)
}

// ParseStream returns the stream that a name from [Stream.String] stands for. It returns an
// [ArgumentError] for any other text.
func ParseStream(name string) (Stream, error) {
	parts := strings.Split(name, ":")
	if len(parts) != 3 {
		return Stream{}, &ArgumentError{Argument: "stream name", Reason: fmt.Sprintf("%q is not database:type:id", name)}
	}
	for i, part := range parts {
		plain, err := frame.Unescape(part)
		if err != nil || frame.Escape(plain) != part {
			return Stream{}, &ArgumentError{Argument: "stream name", Reason: fmt.Sprintf("%q is not escaped in the way of Stream.String", name)}
		}
		parts[i] = plain
	}
	s := Stream{Database: parts[0], Type: parts[1], ID: parts[2]}
	return s, s.validate()
}

func (s Stream) validate() error {
	for _, part := range [...]struct{ name, value string }{
		{"database", s.Database}, {"aggregate type", s.Type}, {"aggregate id", s.ID},
	} {
		if err := validateName(part.name, part.value); err != nil {
			return err
		}
	}
	return nil
}

func validateName(argument, value string) error {
	switch {
	case strings.TrimSpace(value) == "":
		return &ArgumentError{Argument: argument, Reason: "it is blank"}
	case !utf8.ValidString(value):
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("%q is not valid UTF-8", value)}
	case len(value) > maxNameBytes:
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it has %d bytes, at most %d are allowed", len(value), maxNameBytes)}
	}
	return nil
}
