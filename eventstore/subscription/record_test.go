package subscription

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// storedRecords lists every file of testdata/format. The files never change, and every later
// version of the library reads them. If a version writes a record differently, its bytes get a file
// of their own, and the old file is only read.
func storedRecords() []storedRecord {
	k := keysOf("all", "mails/1 ä")
	decodeOne := func(number int) func([]byte) (any, error) {
		return func(data []byte) (any, error) { return decodePartition(k.partition, number, data) }
	}
	onePartition := func(file string, p partition) storedRecord {
		return storedRecord{file, func() []byte { return p.encode(k.partition) }, decodeOne(p.number), p}
	}
	oneShared := func(file string, s shared) storedRecord {
		return storedRecord{file, func() []byte { return s.encode(k.partition) }, func(data []byte) (any, error) { return decodeShared(k.partition, data) }, s}
	}
	stream := eventstore.Stream{Database: "EventStores", Type: "BankAccount", ID: "Ädä/1 %:\n"}.String()
	since := time.Date(2025, 2, 28, 12, 0, 0, 5e8, time.UTC)
	return []storedRecord{
		onePartition("partition", partition{number: 3, epoch: 2, term: 7, owner: "host-1a", position: 120}),
		onePartition("partition-new", partition{}),
		onePartition("partition-within-a-commit", partition{number: 3, epoch: 2, term: 7, owner: "host-1a", position: 120, ahead: 121, done: offered{121, place{4, true}}, parked: []parked{
			{stream: stream, position: 120, from: 3, to: 4, since: since, attempts: 1, reason: "x", ahead: 3},
		}}),
		onePartition("partition-with-parked", partition{number: 0, epoch: 1, term: 1, position: 99, parked: []parked{
			{stream: stream, position: 10, from: 6, to: 9, since: since, attempts: 6, reason: "it is 100 % broken\nby a line\x7f"},
			{stream: stream + "2", position: 11, from: 4, to: 3, closed: 3, deleted: 4, since: since, attempts: 1, reason: "x", request: 3, answered: 2, skip: 4},
		}}),
		oneShared("subscription", shared{partitions: 16, born: 1, epoch: 3, start: 12, instances: []member{
			{"host 1-2b", 17, 15 * time.Second}, {"host-1a", 1, 1500 * time.Millisecond}}}),
		oneShared("subscription-of-a-projection", shared{partitions: 16, born: 1, epoch: 1, start: 12, kind: "projection"}),
		oneShared("subscription-dropped", shared{partitions: 16, born: 1, epoch: 1, dropped: true}),
		{"subscriptions", func() []byte { return encodeNames("a.b", []string{"mails", "models of ä\n"}) },
			func(data []byte) (any, error) { return decodeNames("a.b", data) }, []string{"mails", "models of ä\n"}},
	}
}

type storedRecord struct {
	file   string
	encode func() []byte
	decode func([]byte) (any, error)
	want   any
}

func TestStoredRecordsAreReadAndWrittenAsEver(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("testdata/format")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(storedRecords()) {
		t.Errorf("there are %d files, but %d are tested", len(files), len(storedRecords()))
	}
	for _, r := range storedRecords() {
		data, err := os.ReadFile(filepath.Join("testdata", "format", r.file))
		if err != nil {
			t.Errorf("a record without a file: %v\n%s", err, r.encode())
			continue
		}
		if got, err := r.decode(data); err != nil || !reflect.DeepEqual(got, r.want) {
			t.Errorf("%s is read as %+v, %v, not as %+v", r.file, got, err, r.want)
		}
		if got := r.encode(); !bytes.Equal(got, data) {
			t.Errorf("%s is written as\n%s", r.file, got)
		}
		if _, err := r.decode(bytes.Replace(data, []byte("\n\n"), []byte("\nlater=field\n\n"), 1)); err == nil {
			t.Errorf("%s: a changed record is read", r.file)
		}
	}
}

func TestKeysAreNobodyElses(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, names := range [][2]string{{"a.b", "c"}, {"a", "b.c"}, {"a", "b"}, {"a%2Eb", "c"}, {"a", ":"}} {
		for _, key := range []string{keysOf(names[0], names[1]).shared(), keysOf(names[0], names[1]).of(1)} {
			if seen[key] {
				t.Errorf("two subscriptions have the key %s", key)
			}
			seen[key] = true
			if !strings.HasPrefix(key, "{:subscription:") {
				t.Errorf("the key %s could be a stream's", key)
			}
		}
	}
}

// TestAStreamStaysInItsPartition keeps the partitions of streams as they were in the first version.
func TestAStreamStaysInItsPartition(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]int{"1": 13, "2": 4, "alpha": 6, "Ä": 2} {
		if got := partitionOf(eventstore.Stream{Database: "EventStores", Type: "account", ID: id}, 16); got != want {
			t.Errorf("%s is in partition %d, not %d", id, got, want)
		}
	}
}
