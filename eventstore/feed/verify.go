package feed

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// FindingKind says what kind of thing is wrong.
type FindingKind int

const (
	// RecordDamaged says that a record of the feed is damaged or missing. Key names it, Err says
	// what is wrong. [Feed.Repair] derives it.
	RecordDamaged FindingKind = iota

	// EntryMissing says that the log has taken over the versions From to To of Stream, but has no
	// entry of them. Repair adds the entry if the log has no later one of the stream.
	EntryMissing

	// EventLost says that the log tells of the versions From to To of Stream, which the store does
	// not have. The store has lost acknowledged writes. Readers get items of kind [Lost].
	EventLost

	// EventUnreadable says that an event or the head of Stream cannot be read. Err says why. It is
	// damage of the stream, which [eventstore.Reader.Verify] finds too, and not of the feed.
	EventUnreadable

	// StreamUnlisted says that the store has Stream, but the catalogue does not. Repair adds it.
	StreamUnlisted
)

// String returns "damaged", "missing", "lost", "unreadable" or "unlisted".
func (k FindingKind) String() string {
	if k < RecordDamaged || k > StreamUnlisted {
		return "FindingKind(" + strconv.Itoa(int(k)) + ")"
	}
	return [...]string{"damaged", "missing", "lost", "unreadable", "unlisted"}[k]
}

// Finding is something that is wrong with a feed. Which fields are set depends on its kind.
type Finding struct {
	Kind     FindingKind
	Key      string
	Stream   eventstore.Stream
	From, To int64
	Err      error

	// Repaired says how [Feed.Repair] has repaired it. It is empty if it was not repaired.
	Repaired string
}

// String returns the finding in one line.
func (f Finding) String() string {
	s := f.Kind.String()
	switch f.Kind {
	case RecordDamaged:
		s += " " + f.Key
	default:
		s += " " + f.Stream.String()
	}
	if f.From != 0 {
		s += fmt.Sprintf(" versions %d to %d", f.From, f.To)
	}
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	if f.Repaired != "" {
		s += ": " + f.Repaired
	}
	return s
}

// Verification is what [Feed.Verify] or [Feed.Repair] found.
type Verification struct {
	End     Position // of the log
	Entries int64    // that were read of the log
	Streams int64    // that the log tells of

	// Behind is how many streams have commits that are not in the log yet. That is normal while
	// services write, and for a while after a crash.
	Behind int64

	// Found counts what is wrong, by kind. Findings is the first [MaxFindings] of it.
	Found    [StreamUnlisted + 1]int64
	Findings []Finding

	// Unrepaired is how many findings were not repaired.
	Unrepaired int64

	// Moved are ranges of positions in which [Feed.Repair] has derived a batch of the log, so that
	// the order in it may be another one than before. A reader with a position in such a range goes
	// back to the position before the range, so that it misses nothing.
	Moved []Range
}

// Range is a range of positions, both included.
type Range struct{ From, To Position }

// Sound reports whether nothing is wrong that is not repaired.
func (v Verification) Sound() bool { return v.Unrepaired == 0 }

// MaxFindings is how many findings a [Verification] holds. [WithFindings] tells all of them.
const MaxFindings = 1000

// VerifyOption configures [Feed.Verify] and [Feed.Repair].
type VerifyOption func(*verifyConfig) error

type verifyConfig struct {
	each   func(Finding)
	stored iter.Seq2[eventstore.Stream, error]
	tell   func(checked, of int64)
}

// WithFindings makes Verify and Repair call found with each finding. Calls come one at a time.
func WithFindings(found func(Finding)) VerifyOption {
	return func(c *verifyConfig) error {
		if found == nil {
			return &eventstore.ArgumentError{Argument: "WithFindings", Reason: "the function is nil"}
		}
		c.each = found
		return nil
	}
}

// WithStreams makes Verify look for streams that the feed does not know, and Repair import them.
// [Stored] finds all streams of a store, and [Named] names some.
func WithStreams(streams iter.Seq2[eventstore.Stream, error]) VerifyOption {
	return func(c *verifyConfig) error {
		if streams == nil {
			return &eventstore.ArgumentError{Argument: "WithStreams", Reason: "it is nil"}
		}
		c.stored = streams
		return nil
	}
}

// WithChecked makes Verify and Repair call tell from time to time with how many batches of the log
// are checked, and of how many. Calls come one at a time.
func WithChecked(tell func(checked, of int64)) VerifyOption {
	return func(c *verifyConfig) error {
		if tell == nil {
			return &eventstore.ArgumentError{Argument: "WithChecked", Reason: "the function is nil"}
		}
		c.tell = tell
		return nil
	}
}

// Verify compares the log of the feed, its catalogue, the journals and the streams. It changes
// nothing, and can run while services write and index. It checks:
//
//   - that each record of the feed is there and can be read: the root, the log and its pages and
//     snapshots, the catalogue, and what stands in journals
//   - that the log has all versions of each stream in order, up to what it has taken over
//   - that the store has each event that the log tells of
//   - that the catalogue lists each stream that the log tells of
//   - with [WithStreams], that the feed knows each of those streams
//
// It reads the log once and each event once. It holds about 200 bytes of memory for each stream. An
// error says that it could not go on: it is the error of ctx, an [eventstore.StorageError], or an
// [eventstore.ArgumentError] for a wrong option or if the store has a feed of another name. What is
// wrong with the feed is not an error.
func (f *Feed) Verify(ctx context.Context, options ...VerifyOption) (Verification, error) {
	x, err := f.newExam(options)
	if err != nil {
		return Verification{}, err
	}
	if err := x.run(ctx); err != nil {
		return x.result, err
	}
	if err := x.events(ctx); err != nil {
		return x.result, err
	}
	return x.result, x.unlisted(ctx)
}

func (f *Feed) newExam(options []VerifyOption) (*exam, error) {
	x := &exam{Feed: f}
	x.reset()
	for _, option := range options {
		if option == nil {
			return nil, &eventstore.ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&x.verifyConfig); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// reset makes the exam begin again, with what it has found so far.
func (x *exam) reset() {
	result := x.result
	result.Entries, result.Streams, result.Behind = 0, 0, 0
	*x = exam{
		Feed: x.Feed, verifyConfig: x.verifyConfig, result: result, fixing: x.fixing, log: x.inside.LogReader(),
		streams: map[string]*known{}, later: map[journal.Slot]int64{}, badNames: map[int64]error{}, marks: map[string]error{},
		standing: map[journal.Slot]bool{}, ends: map[string]journal.Entry{}, proven: journal.NewState(), waiting: map[string]bool{},
	}
	x.paged.rest.First = 1
}
