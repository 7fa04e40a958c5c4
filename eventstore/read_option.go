package eventstore

import (
	"fmt"
	"math"
)

// ReadOption says what to read of a stream, and how.
type ReadOption func(*readRange) error

type readRange struct {
	from, to  int64  // to is 0: up to the current version
	after     *int64 // the version that After sets, until readOptions turns it into from
	backwards bool
	raw       bool
	mustExist bool
	bytes     *int64 // counts payloads; nil: they are not counted
}

// count counts a payload that was read.
func (r readRange) count(payload []byte) {
	if r.bytes != nil {
		*r.bytes += int64(len(payload))
	}
}

// FromVersion starts a read at that version, included. The default is 1. A version below 1 is an
// [ArgumentError].
func FromVersion(version int64) ReadOption {
	return func(r *readRange) error {
		r.from = version
		return validVersion("FromVersion", version)
	}
}

// After starts a read with the first event whose version is larger. After(0) reads from the
// beginning. A reader that remembers the last version it has seen can continue with After. A
// negative version is an [ArgumentError], and so is After together with [FromVersion].
func After(version int64) ReadOption {
	return func(r *readRange) error {
		if version < 0 {
			return &ArgumentError{Argument: "After", Reason: fmt.Sprintf("version %d is negative; After(0) reads from the beginning", version)}
		}
		r.after = &version
		return nil
	}
}

// ToVersion ends a read at that version, included. The default is the current version, and a
// version past the end means the same. A version below 1 is an [ArgumentError].
func ToVersion(version int64) ReadOption {
	return func(r *readRange) error {
		r.to = version
		return validVersion("ToVersion", version)
	}
}

// Backwards reads from the last version down to the first.
func Backwards() ReadOption {
	return func(r *readRange) error { r.backwards = true; return nil }
}

// AsRaw leaves events and snapshots as they are stored: their Data is a [Raw], and no type needs to
// be registered.
func AsRaw() ReadOption {
	return func(r *readRange) error { r.raw = true; return nil }
}

// MustExist makes a read fail with a [StreamNotFoundError] if the stream does not exist. Without
// it, such a stream reads as an empty one. A stream exists from its first event on. It also exists
// if it is closed, or if the range of the read is empty. A deleted stream is a [StreamDeletedError]
// in any case. The option takes no additional request.
func MustExist() ReadOption {
	return func(r *readRange) error { r.mustExist = true; return nil }
}

// CountBytes adds the size of each payload that is read to *total, in bytes as it is stored. It
// counts events and snapshots, without their metadata. The sum helps to tell how much memory a
// state may take that is made of them. A nil total is an [ArgumentError]. Nothing else may use
// *total while the read goes on.
func CountBytes(total *int64) ReadOption {
	return func(r *readRange) error {
		if total == nil {
			return &ArgumentError{Argument: "CountBytes", Reason: "the total is nil"}
		}
		r.bytes = total
		return nil
	}
}

func validVersion(argument string, version int64) error {
	switch {
	case version < 0:
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("version %d is negative", version)}
	case version == 0:
		return &ArgumentError{Argument: argument, Reason: "version 0 is the empty stream; events begin at 1"}
	}
	return nil
}

func readOptions(options []ReadOption) (readRange, error) {
	var r readRange
	for _, option := range options {
		if option == nil {
			return r, &ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&r); err != nil {
			return r, err
		}
	}
	if r.after != nil {
		return r, r.follow(*r.after)
	}
	r.from = max(r.from, 1)
	if r.to != 0 && r.from > r.to {
		return r, &ArgumentError{Argument: "FromVersion", Reason: fmt.Sprintf("first version %d is above the last, %d", r.from, r.to)}
	}
	return r, nil
}

// AsOf returns the version that [ToVersion] sets among options, or 0 if ToVersion is not among
// them. It accepts [MustExist] as well. Any other option is an [ArgumentError]. AsOf is for
// functions that take read options and return a state instead of events, such as those of package
// aggregate.
func AsOf(options ...ReadOption) (version int64, err error) {
	for _, option := range options {
		if option == nil {
			return 0, &ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		var r readRange
		if err := option(&r); err != nil {
			return 0, err
		}
		name := ""
		switch {
		case r.from != 0:
			name = "FromVersion"
		case r.after != nil:
			name = "After"
		case r.backwards:
			name = "Backwards"
		case r.raw:
			name = "AsRaw"
		case r.bytes != nil:
			name = "CountBytes"
		case r.mustExist:
			continue
		default:
			version = r.to
			continue
		}
		return 0, &ArgumentError{Argument: name, Reason: "it only works for reading events: use ToVersion or MustExist, or read events with Reader.Read"}
	}
	return version, nil
}

// rangeOf returns the range of a read whose versions are given, so that options only say how to
// read.
func rangeOf(first, last int64, options []ReadOption) (readRange, error) {
	r, err := readOptions(append([]ReadOption{FromVersion(first), ToVersion(last)}, options...))
	if err == nil && (r.from != first || r.to != last) {
		err = &ArgumentError{Argument: "option", Reason: "FromVersion and ToVersion contradict the versions that are already given"}
	}
	return r, err
}

// follow makes the range begin after a version.
func (r *readRange) follow(version int64) error {
	switch {
	case r.from != 0:
		return &ArgumentError{Argument: "After", Reason: "FromVersion or a first version is given as well: use one of them"}
	case r.to != 0 && version > r.to:
		return &ArgumentError{Argument: "After", Reason: fmt.Sprintf("version %d is above the last, %d", version, r.to)}
	}
	r.from = version
	if version < math.MaxInt64 { // no event has that version
		r.from++
	}
	return nil
}
