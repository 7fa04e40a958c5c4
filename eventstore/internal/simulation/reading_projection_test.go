package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// showing is a projection. Its documents list the items that they include, by their streams: one
// document for each stream, one for each half of the streams, one for all of them, and one for each
// three versions.
type showing struct {
	*reading
	docs map[string]shown // as the store has them
}

// shown is a document.
type shown struct{ Items map[string][]string }

func newShowing(r *reading) effect { return &showing{r, map[string]shown{}} }

func (s *showing) name() string { return "shown" }

// documentsOf returns the documents that an item of a stream changes.
func documentsOf(id, item string) []string {
	number, _ := strconv.Atoi(id)
	all := []string{"s" + id, fmt.Sprint("half", number%2), "all"}
	if version, err := strconv.Atoi(item); err == nil {
		all = append(all, fmt.Sprintf("v%s.%d", id, version/3))
	}
	return all
}

// itemOf returns the name of an item in lists.
func itemOf(item feed.Item) string {
	if item.What == feed.Appended {
		return strconv.FormatInt(item.Version, 10)
	}
	return item.What.String()
}

func (s *showing) apply(_ context.Context, docs *projection.Documents[shown], item feed.Item) error {
	fails, what := s.fails(item), itemOf(item)
	for i, id := range documentsOf(item.Stream.ID, what) {
		if fails == i+1 {
			return errPoison
		}
		if i == 1 {
			s.lingers(item)
		}
		var err error
		if what == "deleted" && strings.HasPrefix(id, "s") {
			err = docs.Delete(id)
		} else {
			err = docs.Update(id, func(d *shown) error {
				if d.Items == nil {
					d.Items = map[string][]string{}
				}
				name := item.Stream.String()
				d.Items[name] = append(d.Items[name], what)
				return nil
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *showing) project(from *feed.Feed, options ...subscription.Option) *projection.Projection[shown] {
	p, err := projection.New(from, s.name(), s.apply, projection.With(options...))
	if err != nil {
		panic(err)
	}
	return p
}

func (s *showing) consume(p *process, from *feed.Feed) runner {
	return s.project(from, s.options(p)...).Subscription()
}

const documentPrefix = "{:projection:all.shown.1:"

// after checks the documents that a request has written. Each is a fold of the streams.
func (s *showing) after(f *flight) error {
	for _, key := range f.request.Keys {
		if id, ok := strings.CutPrefix(key, documentPrefix); ok {
			if err := s.written(strings.TrimSuffix(id, "}:document"), key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *showing) written(id, key string) error {
	value, _ := s.store.Value(key)
	if value == nil {
		return nil
	}
	if list, _ := s.store.Value("{:projection:all.shown.1}:list:" + field(value, "home")); !bytes.Contains(list, []byte("\nid="+id+"\n")) {
		return fmt.Errorf("document %s is in no list", id)
	}
	s.moved()
	if field(value, "deleted") != "" {
		delete(s.docs, id)
		return nil
	}
	header, body, _ := bytes.Cut(value, []byte("\n\n"))
	s.log("document %s is %s of %q", id, body, header)
	var doc shown
	if err := json.Unmarshal(body, &doc); err != nil {
		return fmt.Errorf("document %s: %w", id, err)
	}
	for _, stream := range slices.Sorted(maps.Keys(doc.Items)) {
		if err := s.holds(stream, s.list(id, stream, doc)); err != nil {
			return err
		}
	}
	s.docs[id] = doc
	return nil
}

// list returns what a document has of a stream.
func (s *showing) list(id, stream string, doc shown) copied {
	return copied{"document " + id, doc.Items[stream], func(item string) bool {
		return slices.Contains(documentsOf(stream[strings.LastIndexByte(stream, ':')+1:], item), id)
	}}
}

// lists returns what the documents have of a stream.
func (s *showing) lists(stream string) (all []copied) {
	of := map[string]bool{}
	for v := range s.chronicle.audits[stream].head.version + 1 {
		for _, id := range documentsOf(stream[strings.LastIndexByte(stream, ':')+1:], strconv.FormatInt(v, 10)) {
			of[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(of)) {
		if id[0] != 's' || s.chronicle.audits[stream].head.state != "deleted" {
			all = append(all, s.list(id, stream, s.docs[id]))
		}
	}
	return all
}

func (s *showing) saves(number int, position int64, parked map[string]held) error {
	for _, stream := range s.begunStreams() {
		if s.shardOf(stream) == number {
			if err := s.reachesSaved(stream, s.lists(stream), position, parked); err != nil {
				return err
			}
		}
	}
	return nil
}

// begunStreams returns the streams that have begun, sorted.
func (r *reading) begunStreams() (names []string) {
	for _, stream := range slices.Sorted(maps.Keys(r.chronicle.streams)) {
		if a := r.chronicle.audits[stream]; a != nil && a.head.version > 0 {
			names = append(names, stream)
		}
	}
	return names
}

func (s *showing) complete() error {
	for _, stream := range s.begunStreams() {
		if err := s.whole(stream, s.lists(stream)); err != nil {
			return err
		}
		id := "s" + stream[strings.LastIndexByte(stream, ':')+1:]
		if s.chronicle.streams[stream].state == journal.Deleted && len(s.docs[id].Items) > 0 && len(s.skipped[stream]) == 0 {
			return fmt.Errorf("%s was deleted, but document %s is there", stream, id)
		}
	}
	return nil
}

// look lists the documents as a reader does.
func (s *showing) look(ctx context.Context, from *feed.Feed) error {
	s.mu.Lock()
	before := slices.Collect(maps.Keys(s.docs))
	s.mu.Unlock()
	seen := map[string]bool{}
	for doc, err := range s.project(from).List(ctx) {
		if err != nil {
			if errors.As(err, new(*subscription.NotFoundError)) { // it has not run yet
				break
			}
			return err
		}
		if seen[doc.ID] && !s.chronicle.staleReads {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.wrong("document %s is listed twice", doc.ID)
		}
		seen[doc.ID] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range before {
		if _, still := s.docs[id]; still && !seen[id] && !s.stale {
			return s.wrong("document %s is not in the list", id)
		}
	}
	return nil
}

// wrong notes that a reader sees what it must not see. The caller holds the lock of the world.
func (r *reading) wrong(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if r.violation == nil {
		r.violation = err
	}
	return err
}
