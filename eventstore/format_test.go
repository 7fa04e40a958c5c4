package eventstore

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// storedRecord is a file in testdata/format: a record as some version of this library stored it.
//
// These files never change, and every later version of the library reads them. If a version writes
// a record differently, its bytes get a file of their own, and the old file is only read.
type storedRecord struct {
	file   string
	encode func() []byte             // writes the same record today; nil for a record that is only read
	decode func([]byte) (any, error) // reads the file with today's code
	want   any                       // what decode returns, with every field
}

var (
	formatStream  = Stream{Database: "EventStores", Type: "BankAccount", ID: "Ädä/1 %:\n"}
	formatName    = formatStream.String()
	formatCreated = time.Date(2025, 2, 28, 12, 0, 0, 5e8, time.UTC)
)

// storedEvent contains every field of a stored event.
type storedEvent struct {
	Version               int64
	Commit, IdempotencyID string
	Metadata              Metadata
	Raw                   Raw
	Ticket                journal.Ticket
}

// record encodes the event as an append does.
func (e storedEvent) record() record {
	return encodeLastEvent(formatName, e.Commit, e.Ticket, e.Metadata, e.Raw)
}

func decodeStoredEvent(data []byte) (any, error) {
	r, m, raw, err := decodeEvent(formatStream, formatName, data)
	if err == nil && !bytes.Equal(r.data, data) {
		panic("the record keeps other bytes than it was read from")
	}
	return storedEvent{r.version, r.commit, r.idempotencyID, m, raw, r.ticket}, err
}

// storedHead contains every field of a stored head.
type storedHead struct {
	Version, First  int64
	Commit          string
	Time            time.Time
	Closed, Deleted bool
	Swept           bool
	Size            int
	Ticket          journal.Ticket
	Tail            []storedEvent
}

func (s storedHead) encode() []byte {
	h := head{version: s.Version, first: s.First, commit: s.Commit, time: s.Time, closed: s.Closed, deleted: s.Deleted, swept: s.Swept, size: s.Size, ticket: s.Ticket}
	for _, e := range s.Tail {
		h.tail = append(h.tail, e.record())
	}
	return h.encode(formatName)
}

func decodeStoredHead(data []byte) (any, error) {
	h, err := decodeHead(formatStream, formatName, data)
	if err != nil {
		return nil, err
	}
	s := storedHead{Version: h.version, First: h.first, Commit: h.commit, Time: h.time, Closed: h.closed, Deleted: h.deleted, Swept: h.swept, Size: h.size, Ticket: h.ticket}
	for _, r := range h.tail {
		e, err := decodeStoredEvent(r.data)
		if err != nil {
			return nil, err
		}
		s.Tail = append(s.Tail, e.(storedEvent))
	}
	return s, nil
}

// decodeStoredList decodes a list of snapshots. What it does not carry is nil.
func decodeStoredList(data []byte) (any, error) {
	l, err := decodeSnapshots(formatName, data)
	if len(l.record) == 0 {
		l.record = nil
	}
	return l, err
}

// storedSnapshot contains every field of a stored snapshot.
type storedSnapshot struct {
	Snapshot Snapshot
	Raw      Raw
}

func (s storedSnapshot) encode() []byte {
	return encodeSnapshot(formatName, s.Snapshot, s.Raw)
}

func decodeStoredSnapshot(version int64) func([]byte) (any, error) {
	return func(data []byte) (any, error) {
		s, raw, err := decodeSnapshot(formatName, version, data)
		return storedSnapshot{s, raw}, err
	}
}

// storedRecords lists every file of testdata/format.
func storedRecords() []storedRecord {
	little := storedEvent{
		Version: 1, Commit: "0198c0de-0000-7000-8000-000000000001",
		Metadata: Metadata{
			Message: MessageMetadata{
				ID: "0198c0de-0000-7000-8000-000000000002", Type: "AccountOpened", SchemaVersion: 1,
				AggregateType: formatStream.Type, AggregateID: formatStream.ID, Created: formatCreated,
			},
			Context: ContextMetadata{
				PartitionID: formatStream.Database, Timestamp: formatCreated,
				SessionID: "0198c0de-0000-7000-8000-000000000003", SequenceNumber: 1,
			},
		},
		Raw: Raw{Type: "AccountOpened", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"Owner":"Ada"}`)},
	}
	full := storedEvent{
		Version: 2, Commit: "0198c0de-0000-7000-8000-000000000004", IdempotencyID: "request 4711\n%",
		Metadata: Metadata{
			Message: MessageMetadata{
				ID: "m=1\n%\x00é", Type: "FundsWithdrawn", SchemaVersion: 3,
				AggregateType: formatStream.Type, AggregateID: formatStream.ID, Created: formatCreated.Add(time.Minute),
			},
			Context: ContextMetadata{
				CorrelationID: "100% of\nit", CausationID: "cause\r\n\x7f", UserID: "Ada Lovelace", PartitionID: formatStream.Database,
				Timestamp: time.Date(1999, 12, 31, 23, 59, 59, 1, time.UTC), SessionID: "0198c0de-0000-7000-8000-000000000003",
				SequenceNumber: 2, IdempotencyID: "request 4711\n%", Scopes: []string{"", "read", "a=b\n"},
			},
		},
		Raw: Raw{Type: "FundsWithdrawn", SchemaVersion: 3, ContentType: "application/x-protobuf", Payload: []byte("\x00\x01\n\nstream=\xff")},
	}
	bare := storedEvent{
		Version: 9007199254740993, Commit: "c",
		Metadata: Metadata{
			Message: MessageMetadata{Type: "t", AggregateType: formatStream.Type, AggregateID: formatStream.ID},
			Context: ContextMetadata{PartitionID: formatStream.Database, SequenceNumber: 9007199254740993},
		},
		Raw: Raw{Type: "t", Payload: []byte{}},
	}
	young := storedHead{Version: 2, First: 1, Commit: full.Commit, Time: formatCreated, Tail: []storedEvent{little, full}}
	partial := storedHead{Version: 2, First: 1, Commit: full.Commit, Time: formatCreated, Tail: []storedEvent{full}}
	trimmed := storedHead{Version: 4711, First: 1, Commit: full.Commit, Time: formatCreated}
	closed := storedHead{Version: 2, First: 1, Commit: full.Commit, Time: formatCreated, Closed: true, Tail: []storedEvent{full}}
	deleted := storedHead{Version: 2, First: 3, Commit: full.Commit, Time: formatCreated, Closed: true, Deleted: true}
	swept := storedHead{Version: 2, First: 3, Commit: full.Commit, Time: formatCreated, Closed: true, Deleted: true, Swept: true, Size: 512}
	sized := storedHead{Version: 2, First: 1, Commit: full.Commit, Time: formatCreated, Size: 1 << 20, Tail: []storedEvent{full}}
	snapshot := storedSnapshot{
		Snapshot: Snapshot{Version: 100, Created: formatCreated},
		Raw:      Raw{Type: "Account", SchemaVersion: 2, ContentType: "application/json", Payload: []byte("{\"Balance\":5}\n\n")},
	}
	marks := map[string]string{
		"tenant": "north", "empty": "", "a=b": "c=d", "line\nbreak": "one\n\ntwo", "%41": "100 %", "\x00": "\x00\x7f", "é": "Grüße", "stream": "other",
	}
	marked, markedSnapshot := full, snapshot
	marked.Metadata.Custom, markedSnapshot.Snapshot.Custom = marks, marks
	held := leaseRecord{owner: "0198c0de-0000-7000-8000-000000000003", expires: formatCreated.Add(30 * time.Second)}

	slot := journal.Slot{Journal: "t5k2q1x7f3ab", Number: 12}
	ticketed := full
	ticketed.Ticket = journal.Ticket{Slot: slot, From: 1, To: 2, After: journal.Slot{Journal: "t5k2q1zw0c9d", Number: 9}}
	ticketedHead := storedHead{Version: 2, First: 1, Commit: full.Commit, Time: formatCreated, Size: 7, Ticket: ticketed.Ticket, Tail: []storedEvent{ticketed}}
	ended := storedHead{Version: 3, First: 4, Commit: full.Commit, Time: formatCreated, Closed: true, Deleted: true,
		Ticket: journal.Ticket{Slot: slot, From: 3, To: 3, Alone: journal.Deleted}}

	event := func(file string, e storedEvent) storedRecord {
		return storedRecord{file, func() []byte { return e.record().data }, decodeStoredEvent, e}
	}
	ofHead := func(file string, h storedHead) storedRecord {
		return storedRecord{file, h.encode, decodeStoredHead, h}
	}
	lease := func(file string, r leaseRecord) storedRecord {
		return storedRecord{file, func() []byte { return r.encode(formatName) },
			func(data []byte) (any, error) { return decodeLease(formatName, data) }, r}
	}
	list := func(file string, l snapshotList) storedRecord {
		return storedRecord{file, func() []byte { return l.encode(formatName) },
			func(data []byte) (any, error) { return decodeStoredList(data) }, l}
	}
	return append(storedFeedRecords(),
		event("event-with-little", little),
		event("event-with-all", full),
		event("event-with-nothing", bare),
		event("event-with-custom", marked),
		ofHead("head-with-tail", young),
		ofHead("head-with-part-of-tail", partial),
		ofHead("head-without-tail", trimmed),
		ofHead("head-closed", closed),
		ofHead("head-deleted", deleted),
		ofHead("head-swept", swept),
		ofHead("head-with-size", sized),
		storedRecord{"idempotency", func() []byte {
			return encodeIdempotency(formatName, record{version: 2, commit: full.Commit, idempotencyID: full.IdempotencyID})
		}, func(data []byte) (any, error) { return decodeIdempotency(formatName, full.IdempotencyID, data) }, int64(2)},
		storedRecord{"snapshot", snapshot.encode, decodeStoredSnapshot(100), snapshot},
		storedRecord{"snapshot-with-custom", markedSnapshot.encode, decodeStoredSnapshot(100), markedSnapshot},
		list("snapshots", snapshotList{entries: []listedSnapshot{{version: 1}, {version: 100}, {version: 4711}}}),
		list("snapshots-none", snapshotList{}),
		list("snapshots-with-kinds", snapshotList{
			entries: []listedSnapshot{{version: 1}, {99, snapshotKind{"Account=%\n", 1}}, {100, snapshotKind{"Account", 12}}},
			carried: 100, record: snapshot.encode(),
		}),
		lease("lease-held", held),
		lease("lease-free", leaseRecord{}),
		event("event-with-ticket", ticketed),
		ofHead("head-with-ticket", ticketedHead),
		ofHead("head-deleted-with-ticket", ended),
	)
}

func formatFile(name string) string { return filepath.Join("testdata", "format", name) }

// Stored records must be readable forever. If this test fails, stored history is no longer
// readable. Repair the code, and leave the files alone.
func TestStoredRecordsAreReadForEver(t *testing.T) {
	t.Parallel()
	for _, r := range storedRecords() {
		data, err := os.ReadFile(formatFile(r.file))
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := r.decode(bytes.Clone(data))
		if err != nil || !reflect.DeepEqual(got, r.want) {
			t.Errorf("%s is read as\n%+v, %v, want\n%+v", r.file, got, err, r.want)
		}
		if got, err := r.decode(data[:len(data)-1]); err == nil && !strings.HasPrefix(r.file, "log-") { // those are payloads of events
			t.Errorf("%s without its last byte is read as %+v", r.file, got)
		}
	}
}

// Two versions of the library that run side by side must agree on the bytes of a record.
func TestRecordsAreWrittenWithTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, r := range storedRecords() {
		if r.encode == nil {
			continue
		}
		data, err := os.ReadFile(formatFile(r.file))
		if err != nil {
			t.Error(err)
		} else if now := r.encode(); !bytes.Equal(now, data) {
			t.Errorf("%s is written as\n%q, want\n%q: if the change is meant, add a new file and only read this one", r.file, now, data)
		}
	}
}

func TestEachStoredRecordHasATest(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(formatFile(""))
	if err != nil {
		t.Fatal(err)
	}
	var there, tested []string
	for _, entry := range entries {
		there = append(there, entry.Name())
	}
	for _, r := range storedRecords() {
		tested = append(tested, r.file)
	}
	slices.Sort(tested)
	if !slices.Equal(there, tested) {
		t.Errorf("testdata/format has the files\n%q, tested are\n%q", there, tested)
	}
}
