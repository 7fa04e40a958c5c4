package eventstore

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// Stored records must be readable forever. The first version wrote this record.
func TestARecordIsWhatItHasAlwaysBeen(t *testing.T) {
	t.Parallel()
	stored := strings.Join([]string{
		"eventstore/1 event 02021750",
		"stream=EventStores:BankAccount:123456000",
		"version=7",
		"commit=0198c0de",
		"id=m-1",
		"type=FundsWithdrawn",
		"schema=1",
		"content=application/json",
		"created=2025-02-28T12:00:00.5Z",
		"correlation=100%25 of%0Ait",
		"causation=c",
		"user=Ada Lovelace",
		"timestamp=2025-02-28T11:59:59Z",
		"session=s",
		"idempotency=i",
		"scope=read",
		"scope=write",
		"",
		`{"Amount":50000}`,
	}, "\n")
	m := Metadata{
		Message: MessageMetadata{
			ID: "m-1", Type: "FundsWithdrawn", SchemaVersion: 1, AggregateType: "BankAccount", AggregateID: "123456000",
			Created: time.Date(2025, 2, 28, 12, 0, 0, 5e8, time.UTC),
		},
		Context: ContextMetadata{
			CorrelationID: "100% of\nit", CausationID: "c", UserID: "Ada Lovelace", PartitionID: "EventStores",
			Timestamp: time.Date(2025, 2, 28, 11, 59, 59, 0, time.UTC), SessionID: "s", SequenceNumber: 7, IdempotencyID: "i",
			Scopes: []string{"read", "write"},
		},
	}
	raw := Raw{Type: "FundsWithdrawn", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"Amount":50000}`)}
	stream := Stream{"EventStores", "BankAccount", "123456000"}
	if r := encodeEvent(stream.String(), "0198c0de", m, raw); string(r.data) != stored {
		t.Errorf("it is written as\n%s\nwant\n%s", r.data, stored)
	}
	r, gotM, gotRaw, err := decodeEvent(stream, stream.String(), []byte(stored))
	if err != nil || r.version != 7 || r.commit != "0198c0de" || r.idempotencyID != "i" || !reflect.DeepEqual(gotM, m) || !reflect.DeepEqual(gotRaw, raw) {
		t.Errorf("it is read as\n%+v\n%+v\n%+v\n%v", r, gotM, gotRaw, err)
	}
}

// framed returns a record of any content with a valid checksum.
func framedRecord(kind, rest string) []byte {
	return fmt.Appendf(nil, "%s %s %08x\n%s", frame.Format, kind, crc32.Checksum([]byte(rest), frame.Castagnoli), rest)
}

func TestFieldsOfALaterVersionAreIgnored(t *testing.T) {
	t.Parallel()
	r, _, _, err := decodeEvent(labStream, labStream.String(), framedRecord(kindEvent, "stream=EventStores:account:1\nnew=what\nversion=1\ncommit=c\ntype=t\n\nbody"))
	if err != nil || r.version != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWhatIsNotARecordIsRefusedWithItsReason(t *testing.T) {
	t.Parallel()
	name := labStream.String()
	good := encodeEvent(name, "c", Metadata{Context: ContextMetadata{SequenceNumber: 1}}, Raw{Type: "t", Payload: []byte("payload")})
	hd := head{version: 1, first: 1, commit: "c", tail: []record{good}}.encode(name)
	event := func(data []byte) error { _, _, _, err := decodeEventAt(labStream, name, 1, data); return err }
	headOf := func(data []byte) error { _, err := decodeHead(labStream, name, data); return err }
	idem := func(data []byte) error { _, err := decodeIdempotency(name, "x", data); return err }
	stream := "stream=" + name + "\n"
	for i, c := range []struct {
		err  error
		says string
	}{
		{event(nil), "not written by this event store"},
		{event([]byte("{}")), "not written by this event store"},
		{event([]byte("eventstore/1 event")), "not written by this event store"},
		{event(bytes.Repeat([]byte("x"), 1000)), "not written by this event store"},
		{event([]byte("eventstore/2 event 00000000\n\n")), "update"},
		{event(hd), `kind "head"`},
		{headOf(good.data), `kind "event"`},
		{event([]byte("eventstore/1 event zz\n\n")), "checksum"},
		{event(good.data[:len(good.data)-1]), "checksum"},
		{event(slices.Concat(good.data, []byte("x"))), "checksum"},
		{event(bytes.Replace(good.data, []byte("payload"), []byte("qayload"), 1)), "checksum"},
		{event(framedRecord(kindEvent, stream+"version=1")), "ends within its header"},
		{event(framedRecord(kindEvent, stream+"version\n\n")), "without ="},
		{event(framedRecord(kindEvent, "stream=other:account:1\nversion=1\ncommit=c\ntype=t\n\n")), "belongs to stream other:account:1"},
		{event(framedRecord(kindEvent, "version=1\ncommit=c\ntype=t\n\n")), "no stream"},
		{event(framedRecord(kindEvent, stream+"version=one\n\n")), "version"},
		{event(framedRecord(kindEvent, stream+"version=1\ncreated=yesterday\n\n")), "created"},
		{event(framedRecord(kindEvent, stream+"version=1\ncommit=%\n\n")), "%XX"},
		{event(framedRecord(kindEvent, stream+"commit=c\ntype=t\n\n")), "lacks"},
		{event(framedRecord(kindEvent, stream+"version=1\ntype=t\n\n")), "lacks"},
		{event(framedRecord(kindEvent, stream+"version=1\ncommit=c\n\n")), "lacks"},
		{event(framedRecord(kindEvent, stream+"version=2\ncommit=c\ntype=t\n\n")), "holds version 2"},
		{headOf(framedRecord(kindHead, stream+"version=1\nfirst=1\n\n")), "lacks"},
		{headOf(framedRecord(kindHead, stream+"version=1\ncommit=c\n\n")), "lacks"},
		{headOf(framedRecord(kindHead, stream+"version=-1\nfirst=1\ncommit=c\n\n")), "lacks"},
		{headOf(framedRecord(kindHead, stream+"version=1\nfirst=1\ncommit=c\ntail=1\n\n")), "tail"},
		{headOf(framedRecord(kindHead, stream+"version=1\nfirst=1\ncommit=c\ntail=1 -1\n\n")), "tail"},
		{headOf(framedRecord(kindHead, stream+"version=1\nfirst=1\ncommit=c\ntail=1 9\n\n")), "within its tail"},
		{headOf(framedRecord(kindHead, stream+"version=1\nfirst=1\ncommit=c\ntail=2 0\n\n")), "out of order"},
		{headOf(framedRecord(kindHead, stream+"version=1\nfirst=1\ncommit=c\ntail=0 0\n\n")), "out of order"},
		{headOf(framedRecord(kindHead, stream+"version=1\nfirst=1\ncommit=c\ntail=1 0\n\n")), "version 1 in the head's tail"},
		{headOf(framedRecord(kindHead, stream+"version=1\nfirst=1\ncommit=c\n\nmore")), "4 bytes after"},
		{headOf(head{version: 3, first: 1, commit: "c", tail: []record{good, good}}.encode(name)), "out of order"},
		{idem(framedRecord(kindIdempotency, stream+"id=y\nversion=1\n\n")), `idempotency id "y"`},
		{idem(framedRecord(kindIdempotency, stream+"id=x\n\n")), "no version"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("case %d: the reason does not say %q: %v", i, c.says, c.err)
		}
	}
	if err := event(good.data); err != nil {
		t.Error(err)
	}
	if err := headOf(hd); err != nil {
		t.Error(err)
	}
}

// FuzzDecoding checks that no value, whatever wrote it, makes a decoder panic or is taken for
// another kind of record.
func FuzzDecoding(f *testing.F) {
	name := labStream.String()
	event := encodeEvent(name, "c", Metadata{Context: ContextMetadata{SequenceNumber: 1, IdempotencyID: "x"}}, Raw{Type: "t", Payload: []byte("\n\npayload")})
	marked := encodeEvent(name, "c", Metadata{Context: ContextMetadata{SequenceNumber: 1}, Custom: hostile}, Raw{Type: "t"})
	for _, data := range [][]byte{
		nil, []byte("{}"), []byte("\n\n"), []byte("eventstore/1 event 00000000\n\n"), event.data, marked.data, encodeIdempotency(name, event), snapshotList{entries: []listedSnapshot{{version: 1}, {2, snapshotKind{"t", 3}}}, carried: 2, record: []byte("x")}.encode(name),
		head{version: 1, first: 1, commit: "c"}.encode(name), head{version: 1, first: 1, commit: "c", tail: []record{event}}.encode(name),
		encodeSnapshot(name, Snapshot{Version: 1, Created: time.Unix(1, 0), Custom: map[string]string{"a\n": "="}}, Raw{Type: "t", Payload: []byte("p")}), leaseRecord{"o", time.Unix(1, 0)}.encode(name),
	} {
		f.Add(data)
		if _, rest, ok := bytes.Cut(data, []byte("\n")); ok {
			f.Add(rest)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range []string{"", kindEvent, kindHead, kindIdempotency, kindSnapshots, kindSnapshot, kindLease} {
			value := data
			if kind != "" { // with a valid checksum, to get past the check
				value = framedRecord(kind, string(data))
			}
			before := bytes.Clone(value)
			if r, _, _, err := decodeEventAt(labStream, name, 1, value); err == nil && (r.version != 1 || r.commit == "" || !bytes.Equal(r.data, value)) {
				t.Errorf("%q is taken for the event %+v", value, r)
			}
			if h, err := decodeHead(labStream, name, value); err == nil {
				if h.version < 1 || h.first < 1 || h.commit == "" {
					t.Errorf("%q is taken for the head %+v", value, h)
				}
				for i, r := range h.tail {
					if r.version > h.version || i > 0 && r.version <= h.tail[i-1].version {
						t.Errorf("%q is taken for a head with version %d in its tail", value, r.version)
					}
					if _, _, _, err := decodeEventAt(labStream, name, r.version, r.data); err != nil {
						t.Errorf("%q is taken for a head with a tail that holds %q", value, r.data)
					}
				}
			}
			if v, err := decodeIdempotency(name, "x", value); err == nil && v < 1 {
				t.Errorf("%q leads to version %d", value, v)
			}
			_, _ = decodeSnapshots(name, value)
			_, _, _ = decodeSnapshot(name, 1, value)
			_, _ = decodeLease(name, value)
			if !bytes.Equal(value, before) {
				t.Errorf("decoding changed %q", before)
			}
		}
	})
}

// FuzzEventsComeBack checks that any event comes back as it was appended.
func FuzzEventsComeBack(f *testing.F) {
	f.Add(int64(1), "c", "id", "t", 1, "application/json", int64(0), "correlation", "causation", "user", int64(0), "session", "idem", "a,b", []byte("{}"))
	f.Add(int64(1<<62), "c\n", "=", "t=\n\n", -1, "", int64(1), "\x00\r\n", "%0A%", " ", int64(-1e18), "ä", "/?#", ",", []byte("\n\nstream=x"))
	f.Add(int64(7), "%", "%25", "\xff\xfe", 0, "%\x7f", int64(1e18), "", "", "", int64(1), "", "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, version int64, commit, id, typeName string, schema int, content string, created int64, correlation, causation, user string, stamp int64, session, idem, scopes string, payload []byte) {
		if version < 1 || commit == "" || strings.TrimSpace(typeName) == "" {
			return
		}
		m := Metadata{
			Message: MessageMetadata{ID: id, Type: typeName, SchemaVersion: schema, AggregateType: labStream.Type, AggregateID: labStream.ID, Created: time.Unix(0, created).UTC()},
			Context: ContextMetadata{CorrelationID: correlation, CausationID: causation, UserID: user, PartitionID: labStream.Database,
				Timestamp: time.Unix(0, stamp).UTC(), SessionID: session, SequenceNumber: version, IdempotencyID: idem},
		}
		if scopes != "" {
			m.Context.Scopes = strings.Split(scopes, ",")
		}
		raw := Raw{Type: typeName, SchemaVersion: schema, ContentType: content, Payload: payload}
		r := encodeEvent(labStream.String(), commit, m, raw)
		got, gotM, gotRaw, err := decodeEventAt(labStream, labStream.String(), version, r.data)
		if err != nil {
			t.Fatalf("%q: %v", r.data, err)
		}
		if !reflect.DeepEqual(got, r) || !reflect.DeepEqual(gotM, m) || gotRaw.Type != typeName || gotRaw.SchemaVersion != schema || gotRaw.ContentType != content || !bytes.Equal(gotRaw.Payload, payload) {
			t.Errorf("%q came back as\n%+v\n%+v\n%+v", r.data, got, gotM, gotRaw)
		}
		// It also comes back from the tail of a head, together with another event.
		h := head{version: version, first: 1, commit: commit, time: m.Message.Created, tail: []record{r}}
		gotHead, err := decodeHead(labStream, labStream.String(), h.encode(labStream.String()))
		if err != nil || !reflect.DeepEqual(gotHead, h) {
			t.Errorf("the head came back as %+v, %v, want %+v", gotHead, err, h)
		}
	})
}
