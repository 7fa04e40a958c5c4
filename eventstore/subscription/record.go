package subscription

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

const (
	kindShared    = "subscription"
	kindPartition = "partition"
	kindNames     = "subscriptions"
)

// shared is what all instances of a subscription share.
type shared struct {
	partitions int
	born       int64 // the epoch in which the subscription was created
	epoch      int64 // grows whenever all partitions get another position
	start      feed.Position
	kind       string // empty if the subscription was created before kinds were stored
	dropped    bool
	instances  []member // sorted by id
}

// member is one instance of a subscription.
type member struct {
	id    string
	beat  int64         // grows while the instance lives
	lease time.Duration // how long the instance counts as alive without a new beat
}

func (s shared) find(id string) (int, bool) {
	return slices.BinarySearchFunc(s.instances, id, func(m member, id string) int { return strings.Compare(m.id, id) })
}

func (s shared) encode(partition string) []byte {
	w := frame.New(kindShared, partition, 64*len(s.instances))
	w.Number("partitions", int64(s.partitions))
	w.Number("born", s.born)
	w.Number("epoch", s.epoch)
	w.Number("start", int64(s.start))
	w.Text("of", s.kind)
	if s.dropped {
		w.Text("dropped", "yes")
	}
	for _, m := range s.instances {
		w.Line("instance", fmt.Sprintf("%s beat=%d lease=%d", frame.Escape(m.id), m.beat, m.lease.Milliseconds()))
	}
	return w.Finish()
}

// decodeShared decodes the shared record. A record that is absent is an empty value.
func decodeShared(partition string, data []byte) (s shared, err error) {
	if len(data) == 0 {
		return shared{dropped: true}, nil
	}
	_, err = frame.Read(data, kindShared, partition, func(field, value string) error {
		var n int64
		switch field {
		case "partitions":
			err := frame.ParseNumber(value, &n)
			s.partitions = int(n)
			return err
		case "born":
			return frame.ParseNumber(value, &s.born)
		case "epoch":
			return frame.ParseNumber(value, &s.epoch)
		case "start":
			err := frame.ParseNumber(value, &n)
			s.start = feed.Position(n)
			return err
		case "of":
			s.kind = value
		case "dropped":
			s.dropped = true
		case "instance":
			id, words, err := wordsOf(value)
			m := member{id: id, beat: words.number("beat"), lease: time.Duration(words.number("lease")) * time.Millisecond}
			s.instances = append(s.instances, m)
			return errors.Join(err, words.err)
		}
		return nil
	})
	if err == nil && (s.partitions < 1 || s.partitions > maxPartitions) {
		err = fmt.Errorf("%d partitions are not possible", s.partitions)
	}
	slices.SortFunc(s.instances, func(a, b member) int { return strings.Compare(a.id, b.id) })
	return s, err
}

// partition is the record of one partition: who has it, how far it is, and what is parked. They are
// one key, so that a swap changes all of it or nothing. (Rules F12 and F13)
type partition struct {
	number   int
	epoch    int64 // of the shared record when it was written
	term     int64 // grows each time an instance takes the partition
	owner    string
	position feed.Position
	ahead    feed.Position // effects up to this one may be durable, although position is before it
	done     offered       // the last item that was handled or held back, if the next entry has more
	parked   []parked      // sorted by stream
}

// parked is a stream whose events are held back, from the one on that could not be handled.
type parked struct {
	stream   string        // as Stream.String returns it
	position feed.Position // of the item that could not be handled
	from, to int64         // the versions of the events; none if from is above to
	closed   int64         // the version of the item that says so, 0 if there is none
	deleted  int64         // likewise
	since    time.Time
	attempts int64 // how often the first item was tried
	reason   string

	// An operator asks for another try by a higher request than the one that is answered, and names
	// the version of an item to skip before, if any.
	request, answered int64
	skip              int64

	ahead int64 // effects up to this one may be durable, although it is held back
}

func (p partition) find(stream string) (int, bool) {
	return slices.BinarySearchFunc(p.parked, stream, func(e parked, stream string) int { return strings.Compare(e.stream, stream) })
}

// asked reports whether an operator waits for another try.
func (p partition) asked() bool {
	return slices.ContainsFunc(p.parked, func(e parked) bool { return e.request > e.answered })
}

func (p partition) encode(name string) []byte {
	w := frame.New(kindPartition, name, 256*len(p.parked))
	w.Number("partition", int64(p.number))
	w.Number("epoch", p.epoch)
	w.Number("term", p.term)
	w.Text("owner", p.owner)
	w.Number("position", int64(p.position))
	w.Number("ahead", int64(p.ahead))
	if p.done.entry > p.position {
		w.Line("done", fmt.Sprintf("%d %d %t", p.done.entry, p.done.version, p.done.closing))
	}
	for _, e := range p.parked {
		line := e.stream
		for _, word := range [...]struct {
			name  string
			value int64
		}{
			{"position", int64(e.position)}, {"from", e.from}, {"to", e.to}, {"closed", e.closed}, {"deleted", e.deleted},
			{"since", e.since.UnixMilli()}, {"attempts", e.attempts}, {"request", e.request}, {"answered", e.answered}, {"skip", e.skip}, {"ahead", e.ahead},
		} {
			if word.value != 0 {
				line += " " + word.name + "=" + strconv.FormatInt(word.value, 10)
			}
		}
		w.Line("parked", line)
		w.Text("reason", e.reason)
	}
	return w.Finish()
}

// decodePartition decodes the record of a partition. A record that is absent is an empty value.
func decodePartition(name string, number int, data []byte) (p partition, err error) {
	p.number = number
	if len(data) == 0 {
		return p, nil
	}
	var its, position, ahead int64
	_, err = frame.Read(data, kindPartition, name, func(field, value string) error {
		switch field {
		case "partition":
			return frame.ParseNumber(value, &its)
		case "epoch":
			return frame.ParseNumber(value, &p.epoch)
		case "term":
			return frame.ParseNumber(value, &p.term)
		case "owner":
			p.owner = value
		case "position":
			return frame.ParseNumber(value, &position)
		case "ahead":
			return frame.ParseNumber(value, &ahead)
		case "done":
			_, err := fmt.Sscanf(value, "%d %d %t", &p.done.entry, &p.done.version, &p.done.closing)
			return err
		case "parked":
			e, err := decodeParked(value)
			p.parked = append(p.parked, e)
			return err
		case "reason":
			if len(p.parked) > 0 {
				p.parked[len(p.parked)-1].reason = value
			}
		}
		return nil
	})
	p.position, p.ahead = feed.Position(position), feed.Position(ahead)
	if err == nil && its != int64(number) {
		err = fmt.Errorf("it is the record of partition %d", its)
	}
	if err == nil && position < 0 {
		err = errors.New("its position is negative")
	}
	slices.SortFunc(p.parked, func(a, b parked) int { return strings.Compare(a.stream, b.stream) })
	return p, err
}

func decodeParked(line string) (parked, error) {
	name, rest, _ := strings.Cut(line, " ")
	if _, err := eventstore.ParseStream(name); err != nil {
		return parked{}, err
	}
	_, words, err := wordsOf("- " + rest)
	e := parked{
		stream: name, position: feed.Position(words.number("position")), from: words.number("from"), to: words.number("to"),
		closed: words.number("closed"), deleted: words.number("deleted"), attempts: words.number("attempts"),
		request: words.number("request"), answered: words.number("answered"), skip: words.number("skip"), ahead: words.number("ahead"),
		since: time.UnixMilli(words.number("since")).UTC(),
	}
	return e, errors.Join(err, words.err)
}

// words are the words name=value of a line.
type words struct {
	of  map[string]string
	err error
}

// wordsOf splits a line into its first word, which is escaped, and the others.
func wordsOf(line string) (string, *words, error) {
	all := strings.Fields(line)
	if len(all) == 0 {
		return "", &words{}, errors.New("it is empty")
	}
	w := &words{of: map[string]string{}}
	for _, word := range all[1:] {
		name, value, _ := strings.Cut(word, "=")
		w.of[name] = value
	}
	first, err := frame.Unescape(all[0])
	return first, w, err
}

// number returns the value of a word, or 0 if there is none.
func (w *words) number(name string) int64 {
	value, found := w.of[name]
	if !found {
		return 0
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		w.err = err
	}
	return n
}

// rebased returns what a partition's record means now. A record of an earlier epoch has lost its
// position to the one that the shared record names. Streams that were parked after that position
// come again. A record from before the subscription was created means nothing.
func (p partition) rebased(s shared) partition {
	if p.epoch >= s.epoch {
		return p
	}
	next := partition{number: p.number, epoch: s.epoch, term: p.term, owner: p.owner, position: s.start}
	if p.epoch >= s.born {
		next.ahead = max(p.ahead, p.position)
	}
	if p.epoch >= s.born && s.start > 0 {
		for _, e := range p.parked {
			if e.position <= s.start {
				next.parked = append(next.parked, e)
			}
		}
	}
	return next
}

func encodeNames(feed string, names []string) []byte {
	w := frame.New(kindNames, directory(feed), 32*len(names))
	for _, name := range names {
		w.Line("name", name)
	}
	return w.Finish()
}

func decodeNames(feed string, data []byte) (names []string, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	_, err = frame.Read(data, kindNames, directory(feed), func(field, value string) error {
		if field == "name" {
			names = append(names, value)
		}
		return nil
	})
	return names, err
}
