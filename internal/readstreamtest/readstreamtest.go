// Package readstreamtest tests tools/readstream on a store: what it reads is what the library
// reads. The stores without a server are tested next to the tool, and Redis with the servers of
// integration.
package readstreamtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

const database = "Ä/db"

// Streams that are hard to name or to read.
var (
	long    = eventstore.Stream{Database: database, Type: "Bank Account", ID: "Ädä/1 %:{}\n|*"}
	short   = eventstore.Stream{Database: database, Type: "Bank Account", ID: "2"}
	closed  = eventstore.Stream{Database: database, Type: "Bank Account", ID: "3"}
	deleted = eventstore.Stream{Database: database, Type: "Bank Account", ID: "4"}
)

// Test writes streams to a store, which must be empty, and compares what the tool prints with what
// the library reads. The arguments tell the tool where the store is.
func Test(t *testing.T, state driver.State, arguments ...string) {
	tool := tool{t, arguments}
	tool.fails("has no feed")

	provider, err := eventstore.NewProvider(state, eventstore.WithFeed("Ä/all"), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	write(t, provider)
	index(t, provider)

	t.Run("streams", func(t *testing.T) { lists(t, tool.in(t), provider) })
	for name, stream := range map[string]eventstore.Stream{"a long stream": long, "a short stream": short, "a closed stream": closed} {
		t.Run(name, func(t *testing.T) { reads(t, tool.in(t), provider, stream) })
	}
	t.Run("no stream", func(t *testing.T) { tool.in(t).fails("there is no stream d:t:i", "d:t:i") })
	t.Run("a deleted stream", func(t *testing.T) {
		if lines := tool.in(t).prints(deleted.String()); len(lines) > 0 {
			t.Errorf("it prints %v", lines)
		}
	})
	t.Run("the log", func(t *testing.T) { readsTheLog(t, tool.in(t), provider) })
	t.Run("what is damaged", func(t *testing.T) { refuses(t, tool.in(t), state) })
}

func write(t *testing.T, provider *eventstore.Provider) {
	t.Helper()
	do := func(_ int64, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	do(provider.Append(ctx, long, eventstore.ExpectVersion(0), hostile("a", []byte("\n\n\x00\xffstream=")), hostile("b", []byte("Grüße\n\n"))))
	for n := 0; n < 1200; n += 100 { // more than the tool reads at a time
		events := make([]any, 100)
		for i := range events {
			events[i] = eventstore.Raw{Type: "numbered", ContentType: "text/plain", Payload: strconv.AppendInt(nil, int64(n+i), 10)}
		}
		do(provider.Append(ctx, long, eventstore.ExpectAny(), events...))
	}
	do(provider.Append(ctx, long, eventstore.ExpectAny(), hostile("last", []byte(`{"Amount":1}`))))
	for _, stream := range []eventstore.Stream{short, closed, deleted} {
		do(provider.Append(ctx, stream, eventstore.ExpectVersion(0), hostile("", []byte("x")), hostile("c", nil)))
	}
	for stream, end := range map[eventstore.Stream]func(*eventstore.Session) error{
		closed:  func(s *eventstore.Session) error { return s.CloseStream(ctx, eventstore.ExpectAny()) },
		deleted: func(s *eventstore.Session) error { return s.DeleteStream(ctx, eventstore.ExpectAny()) },
	} {
		s, err := provider.Open(ctx, stream, eventstore.Shared())
		if err != nil {
			t.Fatal(err)
		}
		do(0, end(s))
		do(0, s.Close())
	}
}

// hostile returns an event with all that an event can have.
func hostile(id string, payload []byte) eventstore.Event {
	e := eventstore.Event{Data: eventstore.Raw{Type: "type 100%=\n", SchemaVersion: 3, ContentType: "application/octet-stream", Payload: payload}}
	e.Metadata.Context = eventstore.ContextMetadata{
		CorrelationID: "100% of\nit", CausationID: "cause\r\n\x7f", UserID: "Ada = Lovelace", Timestamp: time.Date(1999, 12, 31, 23, 59, 59, 1, time.UTC),
		Scopes: []string{"", "read", "a=b\n"},
	}
	if id != "" {
		e.Metadata.Context.IdempotencyID = "request 4711\n%" + id
	}
	e.Metadata.Custom = map[string]string{"empty": "", "a=b": "c=d", "%41": "100 %", "é\n": "Grüße\n\n", "stream": "other"}
	if id == "" {
		e.Metadata = eventstore.Metadata{}
	}
	return e
}

// index makes the log and the catalogue.
func index(t *testing.T, provider *eventstore.Provider) {
	t.Helper()
	if err := provider.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(provider)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	indexed := make(chan error, 1)
	go func() { indexed <- f.Index(ctx) }()
	for _, stream := range []eventstore.Stream{long, short, closed} {
		version, err := provider.Reader(stream).Version(ctx)
		if err == nil {
			_, err = f.WaitFor(ctx, stream, version)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for item, err := range f.Read(ctx, feed.Live(), feed.OfStream(deleted)) {
		if err != nil {
			t.Fatal(err)
		}
		if item.What == feed.Deleted {
			break
		}
	}
	cancel()
	if err := <-indexed; err != nil {
		t.Fatal(err)
	}
}

// lists compares the streams of the catalogue.
func lists(t *testing.T, tool tool, provider *eventstore.Provider) {
	f, err := feed.Open(provider)
	if err != nil {
		t.Fatal(err)
	}
	var want []map[string]any
	for s, err := range f.Streams(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, map[string]any{"stream": s.Stream.String(), "position": float64(s.Position), "began": float64(s.Begun.UnixMilli())})
	}
	if got := tool.prints(); len(want) != 4 || !reflect.DeepEqual(got, want) {
		t.Errorf("it prints\n%v\nand the library lists\n%v", got, want)
	}
}

// reads compares the events of a stream.
func reads(t *testing.T, tool tool, provider *eventstore.Provider, stream eventstore.Stream) {
	var want []map[string]any
	for e, err := range provider.Reader(stream).Read(t.Context(), eventstore.AsRaw()) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, printed(stream, e))
	}
	got := tool.prints(stream.String())
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("it prints %d events of %d", len(got), len(want))
	}
	for i, line := range got {
		if line["commit"] == nil {
			t.Errorf("it prints no commit: %v", line)
		}
		delete(line, "commit") // which the library tells nobody
		delete(line, "ticket")
		if !reflect.DeepEqual(line, want[i]) {
			t.Fatalf("it prints\n%v\nand the library reads\n%v", line, want[i])
		}
	}
}

// printed returns what the tool prints of an event.
func printed(stream eventstore.Stream, e eventstore.Event) map[string]any {
	raw, message, about := e.Data.(eventstore.Raw), e.Metadata.Message, e.Metadata.Context
	line := map[string]any{"stream": stream.String(), "version": float64(e.Version), "type": raw.Type}
	for name, value := range map[string]string{
		"id": message.ID, "content": raw.ContentType, "correlation": about.CorrelationID, "causation": about.CausationID,
		"user": about.UserID, "session": about.SessionID, "idempotency": about.IdempotencyID, "created": message.Created.Format(time.RFC3339Nano),
	} {
		if value != "" {
			line[name] = value
		}
	}
	if raw.SchemaVersion != 0 {
		line["schema"] = float64(raw.SchemaVersion)
	}
	if !about.Timestamp.Equal(message.Created) {
		line["timestamp"] = about.Timestamp.Format(time.RFC3339Nano)
	}
	for _, scope := range about.Scopes {
		scopes, _ := line["scopes"].([]any)
		line["scopes"] = append(scopes, scope)
	}
	if len(e.Metadata.Custom) > 0 {
		custom := map[string]any{}
		for key, value := range e.Metadata.Custom {
			custom[key] = value
		}
		line["custom"] = custom
	}
	if utf8.Valid(raw.Payload) {
		line["payload"] = string(raw.Payload)
	} else {
		line["payload_base64"] = base64.StdEncoding.EncodeToString(raw.Payload)
	}
	return line
}

// readsTheLog counts the entries of the log, which is a stream.
func readsTheLog(t *testing.T, tool tool, provider *eventstore.Provider) {
	f, err := feed.Open(provider)
	if err != nil {
		t.Fatal(err)
	}
	end, err := f.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]int{}
	for _, line := range tool.prints(":feed:%C3%84%2Fall") {
		for entry := range strings.Lines(line["payload"].(string)) {
			if what, _, ok := strings.Cut(entry, " "); ok {
				told[what]++
			}
		}
	}
	sum := 0
	for n := range maps.Values(told) {
		sum += n
	}
	if sum != int(end) || told["appended"] != 17 || told["closed"] != 1 || told["deleted"] != 1 {
		t.Errorf("it prints %v, and the log ends at position %d", told, end)
	}
}

// refuses damages one key after the other.
func refuses(t *testing.T, tool tool, state driver.State) {
	name := short.String()
	key := "{" + name + "}:"
	first, err := state.Get(t.Context(), name, key+"head")
	if err != nil {
		t.Fatal(err)
	}
	swap := func(value []byte) {
		t.Helper()
		now, err := state.Get(t.Context(), name, key+"head")
		if err == nil {
			err = state.Swap(t.Context(), name, driver.Swap{Key: key + "head", Value: value, ETag: now.ETag})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	swap(flip(first.Value, "version="))
	tool.fails(key+"head is damaged: the checksum", name)
	swap(bytes.Replace(first.Value, []byte("eventstore/1"), []byte("eventstore/2"), 1))
	tool.fails("it has format 'eventstore/2', but this program reads 'eventstore/1'", name)
	swap(first.Value)
	if !state.Capabilities().Atomic { // the head has all events in its tail
		if err := state.Write(t.Context(), name, []driver.Write{{Key: key + "1"}, {Key: key + "2"}}); err != nil {
			t.Fatal(err)
		}
	}
	if lines := tool.prints(name); len(lines) != 2 {
		t.Errorf("it prints %d events of 2", len(lines))
	}

	name = long.String()
	key = "{" + name + "}:"
	for _, damage := range []struct {
		of   func(value []byte) []byte
		says string
	}{
		{func(value []byte) []byte { return flip(value, "numbered") }, "is damaged: the checksum"},
		{func(value []byte) []byte { return value[:len(value)-1] }, "is damaged: the checksum"},
		{func(value []byte) []byte { return []byte("{}") }, "is damaged: it was not written by this event store"},
		{func([]byte) []byte { return nil }, "is missing, but the event is committed"},
	} {
		item, err := state.Get(t.Context(), name, key+"700")
		if err == nil {
			err = state.Write(t.Context(), name, []driver.Write{{Key: item.Key, Value: damage.of(bytes.Clone(item.Value))}})
		}
		if err != nil {
			t.Fatal(err)
		}
		if lines := tool.fails(key+"700 "+damage.says, name); lines != 699 {
			t.Errorf("it prints %d events before the damaged one", lines)
		}
		if err := state.Write(t.Context(), name, []driver.Write{{Key: item.Key, Value: item.Value}}); err != nil {
			t.Fatal(err)
		}
	}
}

// flip returns a value with another bit after a text.
func flip(value []byte, after string) []byte {
	i := bytes.Index(value, []byte(after))
	if i < 0 {
		panic("the value lacks " + after)
	}
	value = bytes.Clone(value)
	value[i+len(after)] ^= 1
	return value
}

// tool is the program with the arguments that tell where the store is.
type tool struct {
	*testing.T
	arguments []string
}

func (t tool) in(sub *testing.T) tool { return tool{sub, t.arguments} }

// run returns the lines that the program prints, and its error.
func (t tool) run(more ...string) (lines []map[string]any, stderr string, err error) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is not on the PATH; install it, on Debian with apt-get install python3")
	}
	_, here, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(here), "../../tools/readstream/read.py")
	if _, err := os.Stat(script); err != nil { // go test runs the test again when the file has changed
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), python, append(append([]string{script}, t.arguments...), more...)...)
	var out, errors bytes.Buffer
	command.Stdout, command.Stderr = &out, &errors
	err = command.Run()
	for line := range bytes.Lines(out.Bytes()) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("it prints %q: %v", line, err)
		}
		lines = append(lines, m)
	}
	return lines, errors.String(), err
}

// prints runs the program, and returns the lines that it prints.
func (t tool) prints(more ...string) []map[string]any {
	t.Helper()
	lines, stderr, err := t.run(more...)
	if err != nil || stderr != "" {
		t.Fatalf("it fails: %v: %s", err, stderr)
	}
	return lines
}

// fails checks that the program fails and says so in one line. It returns how many lines it printed
// before.
func (t tool) fails(says string, more ...string) int {
	t.Helper()
	lines, stderr, err := t.run(more...)
	if err == nil || !strings.HasPrefix(stderr, "read.py: ") || !strings.Contains(stderr, says) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("it says %q, want %q; %v", stderr, says, fmt.Sprint(err))
	}
	return len(lines)
}
