package publishing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

// Inbox remembers the ids of messages that were handled, so that a repeat is handled no more. It is
// safe for concurrent use, in any number of instances.
//
// The ids stand in 4,096 records of the state store, each with those of the last time. A message
// takes a read and a write of one record, of about 24 bytes for each id in it. At 100 messages a
// second and an hour that is 2 KB.
type Inbox struct {
	state driver.State
	name  string
	keep  time.Duration
}

const (
	inboxRecords = 4096
	kindInbox    = "inbox"
	inboxTries   = 8
	mostKept     = 30 * 24 * time.Hour
)

// NewInbox returns an inbox. Its name is the same in all instances of the service that receives the
// messages. Ids are kept for a time, from a minute to 30 days. A message that is delivered again
// after that is handled again. NewInbox sends nothing.
func NewInbox(state driver.State, name string, keep time.Duration) (*Inbox, error) {
	switch {
	case state == nil:
		return nil, bad("state", "it is nil")
	case strings.TrimSpace(name) == "":
		return nil, bad("name", "it is blank")
	case !utf8.ValidString(name) || len(name) > 200:
		return nil, bad("name", "%q is not valid UTF-8 of at most 200 bytes", name)
	case keep < time.Minute || keep > mostKept:
		return nil, bad("keep", "%s is not from 1m to %s", keep, mostKept)
	}
	return &Inbox{state, frame.Escape(name), keep}, nil
}

// Handle calls do, unless a message of that id from that source was handled before, and remembers
// the message when do returns nil. It returns the error of do as it is.
//
// If the process dies after do and before the message is remembered, or if Handle returns an
// [eventstore.StorageError], the message is handled once more when it is delivered again. If the
// same message is delivered twice at the same moment, both calls may call do. So what must never
// happen twice is stored together with the id, or uses the id as an idempotency id of an append.
//
// A message without an id is an [eventstore.ArgumentError].
func (i *Inbox) Handle(ctx context.Context, message Message, do func(context.Context) error) error {
	if message.ID == "" {
		return bad("message", "it has no id")
	}
	sum := sha256.Sum256([]byte(message.Source + "\x00" + message.ID))
	id := seen{id: [16]byte(sum[2:18])}
	part := fmt.Sprintf(":inbox:%s:%d", i.name, binary.BigEndian.Uint16(sum[:2])%inboxRecords)
	handled := false
	return i.update(ctx, part, func(ids []seen) ([]seen, error) {
		if slices.ContainsFunc(ids, func(s seen) bool { return s.id == id.id && time.Since(s.at) <= i.keep }) {
			return nil, nil
		}
		if !handled {
			if err := do(ctx); err != nil {
				return nil, err
			}
			handled = true
		}
		id.at = time.Now()
		return append(slices.DeleteFunc(ids, func(s seen) bool { return time.Since(s.at) > i.keep }), id), nil
	})
}

// update changes a record by a swap. change returns the next ids, or nil to leave them.
func (i *Inbox) update(ctx context.Context, part string, change func([]seen) ([]seen, error)) error {
	key := "{" + part + "}:ids"
	failures := 0
	for n := 0; ; n++ {
		if n > 0 && !pause.Again(ctx, n) {
			return i.failed(context.Cause(ctx))
		}
		item, err := i.state.Get(ctx, part, key)
		if err == nil {
			ids, damage := decodeSeen(part, item.Value)
			if damage != nil {
				return &eventstore.DamagedError{Stream: i.stream(), Key: key, Cause: damage}
			}
			next, failure := change(ids)
			if failure != nil || next == nil {
				return failure
			}
			if err = i.state.Swap(ctx, part, driver.Swap{Key: key, Value: encodeSeen(part, next), ETag: item.ETag}); err == nil {
				return nil
			}
		}
		if failures++; failures >= inboxTries {
			return i.failed(err)
		}
	}
}

func (i *Inbox) stream() eventstore.Stream { return eventstore.Stream{Type: "inbox", ID: i.name} }

func (i *Inbox) failed(cause error) error {
	return &eventstore.StorageError{Stream: i.stream(), Operation: "remember a message", Cause: cause}
}

// seen is the id of a message that was handled.
type seen struct {
	id [16]byte // a part of its hash
	at time.Time
}

func encodeSeen(part string, ids []seen) []byte {
	body := make([]byte, 0, 24*len(ids))
	for _, s := range ids {
		body = binary.BigEndian.AppendUint64(append(body, s.id[:]...), uint64(s.at.UnixMilli()))
	}
	return frame.New(kindInbox, part, len(body)).Finish(body)
}

func decodeSeen(part string, data []byte) (ids []seen, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	body, err := frame.Read(data, kindInbox, part, func(string, string) error { return nil })
	if err != nil {
		return nil, err
	}
	if len(body)%24 != 0 {
		return nil, fmt.Errorf("its body has %d bytes", len(body))
	}
	for one := range slices.Chunk(body, 24) {
		ids = append(ids, seen{[16]byte(one[:16]), time.UnixMilli(int64(binary.BigEndian.Uint64(one[16:])))})
	}
	return ids, nil
}
