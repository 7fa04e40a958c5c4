package eventstore

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// hostile contains keys and values that have a meaning in a record, in a URL or in a terminal.
var hostile = map[string]string{
	"plain": "value", "empty": "", "=": "=", "a=b": "c=d", "%": "%41", "%0A": "%", "line\nbreak": "one\n\ntwo\r", "\n": "\n",
	"\x00": "\x00", " ": " ", "é/😀": "é\u2028\x7f", "stream": "other", "custom.custom": "custom.a=b", "version": "1",
	strings.Repeat("k", maxCustomKeyBytes): strings.Repeat("%", 4000),
}

func custom(text string, entries map[string]string) Event {
	return Event{Data: noted{text}, Metadata: Metadata{Custom: entries}}
}

func TestCustomMetadataComesBackExactly(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		given := []Event{custom("a", hostile), custom("b", nil), custom("c", map[string]string{})}
		prepared, err := s.Prepare(0, asAny(given)...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(t.Context(), ExpectVersion(0), asAny(given)...); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveSnapshot(t.Context(), 1, noted{"s"}, WithCustom(hostile)); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveSnapshot(t.Context(), 2, noted{"s"}, WithCustom(map[string]string{})); err != nil {
			t.Fatal(err)
		}
		for who, r := range map[string]*Reader{"the session": s.Reader, "another reader": l.reader()} {
			read, err := r.Slice(t.Context(), 1, 3)
			if err != nil || len(read) != 3 {
				t.Fatalf("%s: %d events, %v", who, len(read), err)
			}
			for i, want := range []map[string]string{hostile, nil, nil} {
				if got := read[i].Metadata.Custom; !reflect.DeepEqual(got, want) {
					t.Errorf("%s reads %q, want %q", who, got, want)
				}
				if got := prepared[i].Metadata.Custom; !reflect.DeepEqual(got, want) {
					t.Errorf("prepared is %q, want %q", got, want)
				}
			}
			for version, want := range map[int64]map[string]string{1: hostile, 2: nil} {
				if snapshot, err := r.Snapshot(t.Context(), version); err != nil || !reflect.DeepEqual(snapshot.Custom, want) || snapshot.Data != (noted{"s"}) {
					t.Errorf("%s reads the snapshot %+v, %v", who, snapshot, err)
				}
			}
		}
		if found := l.verify(); !found.Sound() || found.Events != 3 {
			t.Errorf("%+v", found)
		}
	})
}

func TestCustomMetadataIsCopied(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s, err := l.provider().Open(t.Context(), labStream, Shared())
		if err != nil {
			t.Fatal(err)
		}
		l.add(s, "first")
		entries := map[string]string{"a": "before"}
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			l.add(l.open(), "another") // so the append is placed and encoded again
			entries["a"] = "during"
			return next()
		})
		version, err := s.Append(t.Context(), ExpectAny(), custom("a", entries))
		if err != nil || version != 3 {
			t.Fatalf("version %d, %v", version, err)
		}
		entries["a"] = "snapshot"
		option := WithCustom(entries)
		entries["a"] = "after"
		if err := s.SaveSnapshot(t.Context(), 1, noted{"s"}, option); err != nil {
			t.Fatal(err)
		}
		_, err = s.Append(t.Context(), ExpectVersion(7), custom("b", entries))
		mismatch := want[*VersionMismatchError](t, err)
		entries["a"] = "later"
		if got := mismatch.Metadata.Custom["a"]; got != "after" {
			t.Errorf("the error holds %q", got)
		}
		event, err := s.Event(t.Context(), 3)
		if err != nil || event.Metadata.Custom["a"] != "before" {
			t.Errorf("%+v, %v", event, err)
		}
		if snapshot, err := s.Snapshot(t.Context(), 1); err != nil || snapshot.Custom["a"] != "snapshot" {
			t.Errorf("%+v, %v", snapshot, err)
		}
		event.Metadata.Custom["a"] = "the reader's own"
		if again, err := s.Event(t.Context(), 3); err != nil || again.Metadata.Custom["a"] != "before" {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

func TestCustomMetadataHasLimits(t *testing.T) {
	entries := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint(i)] = ""
		}
		return m
	}
	for name, c := range map[string]struct {
		entries map[string]string
		says    string // empty if within the limits
	}{
		"as many as fit":        {entries(maxCustomEntries), ""},
		"one too many":          {entries(maxCustomEntries + 1), "65 entries, at most 64"},
		"a key without a byte":  {map[string]string{"": "x"}, "an empty key"},
		"a blank key":           {map[string]string{" ": "x"}, ""},
		"a key as long as fits": {map[string]string{strings.Repeat("k", 200): "x"}, ""},
		"a key that is too long": {
			map[string]string{strings.Repeat("k", 201): "x"}, "a key of 201 bytes, at most 200"},
		"a key that is no text":   {map[string]string{"\xff": "x"}, `key "\xff" that is not valid UTF-8`},
		"a value that is no text": {map[string]string{"a": "\xff"}, `key "a" that is not valid UTF-8`},
		"as large as fits":        {map[string]string{"a": strings.Repeat("v", 10000), "b": strings.Repeat("v", maxCustomBytes-10002)}, ""},
		"a byte too large":        {map[string]string{"a": strings.Repeat("v", 10000), "b": strings.Repeat("v", maxCustomBytes-10001)}, "16385 bytes, at most 16384"},
	} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				s := l.open()
				l.add(s, "a")
				l.Trace()
				check := func(argument string, err error) {
					t.Helper()
					if c.says == "" {
						if err != nil {
							t.Errorf("%s: %v", argument, err)
						}
						return
					}
					if e := want[*ArgumentError](t, err); e.Argument != argument || !strings.Contains(e.Reason, c.says) || strings.Contains(err.Error(), "vvv") {
						t.Errorf("%s: %v", argument, err)
					}
				}
				_, err := s.Prepare(1, noted{"a"}, custom("x", c.entries))
				check("events[1]", err)
				_, err = s.Append(t.Context(), ExpectAny(), noted{"a"}, custom("x", c.entries))
				check("events[1]", err)
				next := int64(4)
				if c.says != "" {
					next = 2
				}
				kept := recorded(next, "")
				kept.Metadata.Custom = c.entries
				_, err = s.AppendRecorded(t.Context(), ExpectAny(), kept)
				check("events[0]", err)
				check("WithCustom", s.SaveSnapshot(t.Context(), 1, noted{"s"}, WithCustom(c.entries)))
				check("snapshot", s.SaveRecordedSnapshot(t.Context(), Snapshot{Version: 1, Data: kept.Data, Created: kept.Metadata.Message.Created, Custom: c.entries}))
				if c.says != "" {
					l.traced()
				}
			})
		})
	}
}

func TestASnapshotOptionThatIsNilIsRefused(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.withSnapshots(2)
		if e := want[*ArgumentError](t, s.SaveSnapshot(t.Context(), 1, noted{}, nil)); e.Argument != "option" {
			t.Errorf("%+v", e)
		}
		l.traced()
	}, "the careful way")
}

// An append that does not fit fails before any request, even if it is metadata that takes the
// space.
func TestCustomMetadataCountsIntoTheSizeOfAnAppend(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.withSnapshots(2)
		l.Caps.MaxRequestBytes, l.Caps.Atomic = 10_000, false
		s := l.open()
		l.Trace()
		for name, value := range map[string]string{
			"as it is":          strings.Repeat("x", 10_000),
			"once it is quoted": strings.Repeat("%", 4_000),
		} {
			_, err := s.Append(t.Context(), ExpectAny(), custom("a", map[string]string{"a": value}))
			if e := want[*BatchTooLargeError](t, err); e.Limit != 10_000 || e.Size <= 10_000 {
				t.Errorf("%s: %+v", name, e)
			}
			err = s.SaveSnapshot(t.Context(), 1, noted{"s"}, WithCustom(map[string]string{"a": value}))
			if e := want[*BatchTooLargeError](t, err); e.Limit != 10_000 || e.Size <= 10_000 {
				t.Errorf("%s: %+v", name, e)
			}
		}
		l.traced()
		if _, err := s.Append(t.Context(), ExpectAny(), custom("a", map[string]string{"a": strings.Repeat("x", 5_000)})); err != nil {
			t.Error(err)
		}
	}, "the careful way")
}

func TestARecordedEventKeepsItsCustomMetadata(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		want := recorded(1, "i")
		want.Metadata.Custom = hostile
		if _, err := s.AppendRecorded(t.Context(), ExpectVersion(0), want); err != nil {
			t.Fatal(err)
		}
		if got, err := l.reader().Event(t.Context(), 1, AsRaw()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
		snapshot := Snapshot{Version: 1, Data: want.Data, Created: want.Metadata.Message.Created, Custom: maps.Clone(hostile)}
		if err := s.SaveRecordedSnapshot(t.Context(), snapshot); err != nil {
			t.Fatal(err)
		}
		if got, err := l.reader().Snapshot(t.Context(), 1, AsRaw()); err != nil || !reflect.DeepEqual(got, snapshot) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestACustomEntryThatIsDamagedIsRefused(t *testing.T) {
	t.Parallel()
	name := labStream.String()
	for entry, says := range map[string]string{
		"custom.a=1\ncustom.a=2": `a custom entry is stored twice`,
		"custom.%4=1":            "%XX",
		"custom.a=%":             "%XX",
	} {
		_, _, _, err := decodeEvent(labStream, name, framedRecord(kindEvent, "stream="+name+"\nversion=1\ncommit=c\ntype=t\n"+entry+"\n\n"))
		_, _, snapshotErr := decodeSnapshot(name, 1, framedRecord(kindSnapshot, "stream="+name+"\nversion=1\n"+entry+"\n\n"))
		for _, err := range []error{err, snapshotErr} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%q: %v", entry, err)
			}
		}
	}
}

// FuzzCustomMetadataComesBack checks that custom metadata is either a bad argument or comes back
// unchanged, and that equal metadata has equal bytes.
func FuzzCustomMetadataComesBack(f *testing.F) {
	for key, value := range hostile {
		f.Add(key, value, "other", "value")
		f.Add("a", value, "b", key)
	}
	f.Add("", "", "", "")
	f.Add("\xff", "", "a", "\xff")
	f.Fuzz(func(t *testing.T, key, value, otherKey, otherValue string) {
		given := map[string]string{key: value, otherKey: otherValue}
		possible, size := true, 0
		for k, v := range given {
			possible = possible && k != "" && len(k) <= 200 && utf8.ValidString(k) && utf8.ValidString(v)
			size += len(k) + len(v)
		}
		possible = possible && size <= 16<<10

		name := labStream.String()
		m := Metadata{Context: ContextMetadata{SequenceNumber: 1}, Custom: given}
		raw := Raw{Type: "t", Payload: []byte("payload")}
		r := encodeEvent(name, "c", m, raw)
		if !bytes.Equal(r.data, encodeEvent(name, "c", Metadata{Context: m.Context, Custom: maps.Clone(given)}, raw).data) {
			t.Errorf("%q has other bytes each time", given)
		}
		_, got, gotRaw, err := decodeEventAt(labStream, name, 1, r.data)
		if err != nil || !reflect.DeepEqual(got.Custom, given) || gotRaw.Type != "t" || string(gotRaw.Payload) != "payload" || got.Message.ID != "" || got.Context.Scopes != nil {
			t.Errorf("%q came back as\n%+v, %+v, %v", r.data, got, gotRaw, err)
		}
		snapshot, gotRaw, err := decodeSnapshot(name, 1, encodeSnapshot(name, Snapshot{Version: 1, Created: time.Unix(1, 0), Custom: given}, raw))
		if err != nil || !reflect.DeepEqual(snapshot.Custom, given) || gotRaw.Type != "t" || !snapshot.Created.Equal(time.Unix(1, 0)) {
			t.Errorf("a snapshot came back as %+v, %v", snapshot, err)
		}

		store := labKinds["the careful way"]()
		registry, err := NewRegistry(Type[noted]("noted"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewProvider(store, WithRegistry(registry), WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Open(t.Context(), labStream)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		store.Trace()
		_, err = s.Append(t.Context(), ExpectVersion(0), custom("a", given))
		if !possible {
			if want[*ArgumentError](t, err); len(store.Trace()) > 0 {
				t.Errorf("%v came after requests", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if event, err := s.Event(t.Context(), 1); err != nil || event.Data != (noted{"a"}) || !reflect.DeepEqual(event.Metadata.Custom, given) {
			t.Errorf("%q came back as %+v, %v", given, event, err)
		}
	})
}
