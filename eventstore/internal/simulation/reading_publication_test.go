package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

// posting is a publication. Its broker loses messages and answers, repeats messages, and delivers
// them late.
type posting struct {
	*reading
	first map[string][]string // by stream: the items in the order in which each came first
	has   map[string]bool     // ids
}

func newPosting(r *reading) effect {
	return &posting{r, map[string][]string{}, map[string]bool{}}
}

func (s *posting) name() string { return "posted" }

// broker is the broker as a process reaches it.
type broker struct {
	*posting
	process *process
}

func (b broker) Publish(ctx context.Context, topic string, m publishing.Message) error {
	ctx = context.WithValue(ctx, senderKey{}, b.process)
	r := &memstate.Request{Op: "publish", Partition: ":broker:" + topic, Keys: []string{"{:broker}:" + m.ID}}
	return b.around(ctx, r, func() error { return b.takes(m) })
}

func (b broker) Subscribe(context.Context, string, func(context.Context, publishing.Message) error) error {
	return nil
}

// takes is what the broker does with a message. The caller holds the lock of the world.
func (s *posting) takes(m publishing.Message) error {
	if s.has[m.ID] {
		return nil
	}
	s.has[m.ID] = true
	s.moved()
	item := strings.TrimPrefix(m.ID, m.Subject+"/")
	if kind, other, _ := strings.Cut(m.Type, "."); kind == "account" {
		item = other
	} else if data, _ := json.Marshal(s.committed(m.Subject, item)); string(data) != string(m.Data) {
		s.violation = fmt.Errorf("%s is published as %s, but %s is committed", m.ID, m.Data, data)
	}
	s.first[m.Subject] = append(s.first[m.Subject], item)
	if s.chronicle.audits[m.Subject].head.state == "deleted" {
		return nil // one instance may find an event that another one missed
	}
	if err := s.holds(m.Subject, s.list(m.Subject)); err != nil && s.violation == nil {
		s.violation = err
	}
	return nil
}

// committed returns what is committed as a version of a stream.
func (s *posting) committed(stream, version string) string {
	v, _ := strconv.ParseInt(version, 10, 64)
	_, payload, _ := bytes.Cut(s.chronicle.audits[stream].committed[v], []byte("\n\n"))
	return string(payload)
}

func (s *posting) list(stream string) copied {
	return copied{"the topic", s.first[stream], func(string) bool { return true }}
}

func (s *posting) consume(p *process, from *feed.Feed) runner {
	options := []publishing.Option{publishing.With(s.options(p)...)}
	if s.poison > 0 {
		options = append(options, publishing.WithMapping(s.mapping))
	}
	publication, err := publishing.New(from, s.name(), broker{s, p}, "topic", options...)
	if err != nil {
		panic(err)
	}
	return publication.Subscription
}

// mapping does what a publication does without a mapping, or fails.
func (s *posting) mapping(_ context.Context, item feed.Item) (string, any, error) {
	switch {
	case s.fails(item) > 0:
		return "", nil, errPoison
	case item.What == feed.Appended:
		return item.Event.Metadata.Message.Type, item.Event.Data, nil
	}
	return item.Stream.Type + "." + item.What.String(), nil, nil
}

func (s *posting) after(*flight) error { return nil }

func (s *posting) saves(number int, position int64, parked map[string]held) error {
	for _, stream := range s.begunStreams() {
		if s.shardOf(stream) == number {
			if err := s.reachesSaved(stream, []copied{s.list(stream)}, position, parked); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *posting) complete() error {
	for _, stream := range s.begunStreams() {
		if err := s.whole(stream, []copied{s.list(stream)}); err != nil {
			return err
		}
	}
	return nil
}

func (s *posting) look(context.Context, *feed.Feed) error { return nil }
