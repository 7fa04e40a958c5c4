// Package notices keeps and shows what a bank tells of its transfers. It knows the messages of the
// bank and nothing else of it, like any other service that gets them.
package notices

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

// Topic is where the bank publishes, and MessageType is the type of the messages that are kept.
const (
	Topic       = "transfers"
	MessageType = "TransferCompleted"
)

// Received is the only type of event in the stream of notices.
type Received struct {
	Transfer string     `json:"transfer"`
	From     string     `json:"from"`
	To       string     `json:"to"`
	Amount   bank.Money `json:"amount"`
}

// Types returns the Go type with the name under which it is stored.
func Types() []eventstore.TypeDefinition {
	return []eventstore.TypeDefinition{eventstore.Type[Received]("NoticeReceived")}
}

// Notice is a transfer of which the bank has told.
type Notice struct {
	Received
	At time.Time // when it was received
}

// Notices are the notices in an event store. They are safe for concurrent use, in any number of
// instances.
type Notices struct {
	provider *eventstore.Provider
	stream   eventstore.Stream
	log      *slog.Logger

	mu      sync.Mutex
	failing string // the message that could not be kept at last, so that this is logged once
}

// New returns the notices in the store of a provider. Its registry must have [Types].
func New(provider *eventstore.Provider, log *slog.Logger) *Notices {
	return &Notices{provider: provider, stream: provider.Stream("Notices", Topic), log: log}
}

// Handle keeps the notice of a message. It ignores messages of other types. A message that cannot
// be a notice is logged and dropped, because it would hold up all that follow.
//
// The notice is an event whose idempotency id is the identity of the message. One append stores
// both or neither, so whenever the process is killed, the notice is there once or not at all. If
// it is not, the broker has no answer, and delivers the message again. A [publishing.Inbox] would
// write the notice and the id one after the other, and a kill between the two would double the
// notice. It also forgets ids after some time, and the stream does not.
func (n *Notices) Handle(ctx context.Context, m publishing.Message) error {
	if m.Type != MessageType {
		return nil
	}
	received, err := parse(m)
	if err == nil {
		event := eventstore.Event{Data: received}
		event.Metadata.Context.IdempotencyID = identity(m)
		_, err = n.provider.Append(ctx, n.stream, eventstore.ExpectAny(), event)
	}
	switch {
	case eventstore.Advise(err) == eventstore.AdviceAlreadyStored:
		return nil // it was delivered before
	case errors.As(err, new(*eventstore.ArgumentError)):
		n.log.ErrorContext(ctx, "a message is no notice, and was dropped", "message", m.ID, "source", m.Source, "error", err.Error())
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case err == nil:
		n.failing = ""
	case n.failing != m.ID && ctx.Err() == nil:
		n.failing = m.ID
		n.log.WarnContext(ctx, "cannot keep a notice, retrying", "message", m.ID, "error", err.Error())
	}
	return err
}

// identity returns what makes a CloudEvent unique, its source and id, in the length that an
// idempotency id may have.
func identity(m publishing.Message) string {
	sum := sha256.Sum256([]byte(m.Source + "\x00" + m.ID))
	return hex.EncodeToString(sum[:])
}

// parse reads what a message says. Its error is an [eventstore.ArgumentError].
func parse(m publishing.Message) (Received, error) {
	const longest = 200
	var said struct {
		ID, From, To string
		Amount       bank.Money
	}
	bad := func(format string, args ...any) (Received, error) {
		return Received{}, &eventstore.ArgumentError{Argument: "message", Reason: fmt.Sprintf(format, args...)}
	}
	if err := json.Unmarshal(m.Data, &said); err != nil {
		return bad("its data is not as expected: %v", err)
	}
	for name, text := range map[string]string{"id": said.ID, "from": said.From, "to": said.To} {
		if text == "" || len(text) > longest || !utf8.ValidString(text) {
			return bad("%s is not 1 to %d bytes of UTF-8", name, longest)
		}
	}
	if said.Amount <= 0 {
		return bad("the amount %d is not positive", said.Amount)
	}
	return Received{said.ID, said.From, said.To, said.Amount}, nil
}

// Newest returns up to so many notices, the newest first.
func (n *Notices) Newest(ctx context.Context, most int) (newest []Notice, err error) {
	for event, err := range n.provider.Reader(n.stream).Read(ctx, eventstore.Backwards()) {
		if err != nil {
			return nil, err
		}
		if len(newest) == most {
			break
		}
		if received, ok := event.Data.(Received); ok {
			newest = append(newest, Notice{received, event.Metadata.Context.Timestamp})
		}
	}
	return newest, nil
}
