package simulation

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// audit watches the store, request by request. It relies only on the format of the store's records,
// and checks what must be true at every moment:
//
//   - the head's version never falls, and each committed event is stored completely, in the head's
//     tail or under its own key;
//   - committed bytes never change;
//   - no event is stored above the head;
//   - a closed stream stays as it is; a deleted one is one version above the last and stays there;
//   - an idempotency id leads to its event;
//   - snapshots exist only at committed versions.
type audit struct {
	store     *memstate.Store
	partition string
	head      headRecord
	committed map[int64][]byte // by version: the committed event

	writes  int            // so far
	written map[string]int // by key: which write was the last one
	deleted int            // which write deleted the stream
}

// headRecord is what the audit reads of a head.
type headRecord struct {
	version int64
	commit  string
	state   string // "", "closed" or "deleted"
	tail    map[int64][]byte
}

func (a *audit) begun() bool { return a.head.version > 0 }

// forget makes the audit accept the store's present contents as a new start.
func (a *audit) forget(r *restart) {
	r.committed = a.committed
	a.restart("{" + a.partition + "}:head")
	r.kept = a.head.version
}

func (a *audit) restart(key string) {
	a.head = headRecord{}
	if value, _ := a.store.Value(key); value != nil {
		a.head, _ = readHead(value) // it could be read before
	}
	committed := map[int64][]byte{}
	for version, data := range a.committed {
		if version <= a.head.version {
			committed[version] = data
		}
	}
	a.committed = committed
}

// after checks what a request has changed.
func (a *audit) after(f *flight) error {
	if !f.writes() || f.request.Partition != a.partition {
		return nil
	}
	a.writes++
	for _, key := range f.request.Keys {
		a.written[key] = a.writes
	}
	return a.changed(f.request, f.request.Keys)
}

// changed checks what a request has changed of these keys, which are of the stream.
func (a *audit) changed(r *memstate.Request, keys []string) error {
	for _, key := range keys {
		if strings.HasSuffix(key, ":head") {
			if err := a.moved(r, key); err != nil {
				return err
			}
		}
	}
	for _, key := range keys {
		if err := a.stands(key); err != nil {
			return err
		}
	}
	return a.whole(r)
}

// moved checks a change of the head.
func (a *audit) moved(r *memstate.Request, key string) error {
	value, _ := a.store.Value(key)
	if value == nil {
		if a.head.version > 0 {
			return errors.New("the head has gone")
		}
		return nil
	}
	now, err := readHead(value)
	if err != nil {
		return fmt.Errorf("the head can't be read: %w", err)
	}
	was := a.head
	a.head = now
	switch {
	case was.state == "deleted" && (now.state != "deleted" || now.version != was.version || now.commit != was.commit):
		return fmt.Errorf("the stream was deleted and is %q at version %d", now.state, now.version)
	case was.state == "closed" && (now.state == "" || now.state == "closed" && now.version != was.version):
		return fmt.Errorf("the stream was closed at version %d and is %q at version %d", was.version, now.state, now.version)
	case now.state == "deleted" && was.state != "deleted":
		if now.version != was.version+1 || len(now.tail) > 0 {
			return fmt.Errorf("the stream was deleted at version %d with a head at %d and %d events in it", was.version, now.version, len(now.tail))
		}
		a.deleted = a.writes
		return nil
	case now.version < was.version:
		return fmt.Errorf("the head fell from version %d to %d", was.version, now.version)
	case now.version == was.version && now.commit != was.commit:
		return fmt.Errorf("version %d was committed twice, by %s and %s", now.version, was.commit, now.commit)
	}
	for version := was.version + 1; version <= now.version; version++ {
		data, ok := now.tail[version]
		if !ok && r.Op == "commit" {
			data, _ = a.store.Value(eventKey(r.Partition, version))
		}
		if data == nil {
			return fmt.Errorf("version %d is committed but stored nowhere", version)
		}
		if got := field(data, "version"); got != strconv.FormatInt(version, 10) {
			return fmt.Errorf("version %d was committed as an event of version %s", version, got)
		}
		a.committed[version] = bytes.Clone(data)
	}
	for version, data := range now.tail {
		if !bytes.Equal(data, a.committed[version]) {
			return fmt.Errorf("version %d changed in the tail", version)
		}
	}
	return nil
}

// stands checks one key that was written.
func (a *audit) stands(key string) error {
	value, _ := a.store.Value(key)
	name := key[strings.LastIndex(key, "}:")+2:]
	version, err := strconv.ParseInt(name, 10, 64)
	switch {
	case value == nil:
		return nil
	case err == nil && version > a.head.version:
		return fmt.Errorf("event %d is above the head, at version %d", version, a.head.version)
	case err == nil && !bytes.Equal(value, a.committed[version]):
		return fmt.Errorf("event %d is not what was committed", version)
	case strings.HasPrefix(name, "snapshot:"):
		if at, _ := strconv.ParseInt(field(value, "version"), 10, 64); at > a.head.version {
			return fmt.Errorf("a snapshot is at version %d, the head at %d", at, a.head.version)
		}
	case strings.HasPrefix(name, "idem:"):
		at, _ := strconv.ParseInt(field(value, "version"), 10, 64)
		if id := field(a.committed[at], "idempotency"); id != field(value, "id") {
			return fmt.Errorf("idempotency id %s leads to version %d, which has %q", field(value, "id"), at, id)
		}
	}
	return nil
}

// whole checks that every committed event can be read, from the tail or from its own key.
func (a *audit) whole(r *memstate.Request) error {
	if a.head.state == "deleted" {
		return nil
	}
	for version := int64(1); version <= a.head.version; version++ {
		if a.head.tail[version] != nil {
			continue
		}
		committed := a.committed[version]
		if value, _ := a.store.Value(eventKey(r.Partition, version)); !bytes.Equal(value, committed) {
			return fmt.Errorf("version %d left the tail but does not stand under its key", version)
		}
		if id := field(committed, "idempotency"); id != "" {
			if value, _ := a.store.Value("{" + r.Partition + "}:idem:" + frame.Escape(id)); value == nil {
				return fmt.Errorf("version %d left the tail but its idempotency id %s leads nowhere", version, id)
			}
		}
	}
	return nil
}

func eventKey(partition string, version int64) string {
	return "{" + partition + "}:" + strconv.FormatInt(version, 10)
}

// field returns one field of a record's header, or "" if it is missing.
func field(record []byte, name string) string {
	header, _, _ := bytes.Cut(record, []byte("\n\n"))
	for line := range bytes.Lines(header) {
		if value, ok := bytes.CutPrefix(line, []byte(name+"=")); ok {
			return strings.TrimSuffix(string(value), "\n")
		}
	}
	return ""
}

// readHead parses a head by the format of its record, without the code under test.
func readHead(value []byte) (headRecord, error) {
	h := headRecord{commit: field(value, "commit"), state: field(value, "state"), tail: map[int64][]byte{}}
	header, body, ok := bytes.Cut(value, []byte("\n\n"))
	if !ok {
		return h, errors.New("it has no body")
	}
	var err error
	if h.version, err = strconv.ParseInt(field(value, "version"), 10, 64); err != nil {
		return h, err
	}
	for line := range bytes.Lines(header) {
		var version int64
		var length int
		if n, _ := fmt.Sscanf(string(line), "tail=%d %d", &version, &length); n == 2 {
			if length > len(body) {
				return h, errors.New("it ends within its tail")
			}
			h.tail[version], body = body[:length], body[length:]
		}
	}
	return h, nil
}
