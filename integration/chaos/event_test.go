package chaos

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

const aggregateType = "chaos"

// written is an event that says which part of which append it is.
type written struct {
	Append string
	Part   int
	Of     int
	Pad    string
}

// prefix is the snapshot of a stream: the digest of its events up to the snapshot's version.
type prefix struct{ Digest string }

// newProvider returns a provider. Without a locker its sessions use the lease.
func newProvider(s driver.State, l driver.Locker, settings eventstore.Settings, more ...eventstore.Option) (*eventstore.Provider, error) {
	registry, err := eventstore.NewRegistry(append(bankTypes[:len(bankTypes):len(bankTypes)], eventstore.Type[written]("written"), eventstore.Type[prefix]("prefix"))...)
	if err != nil {
		return nil, err
	}
	options := []eventstore.Option{
		eventstore.WithRegistry(registry),
		eventstore.WithSettings(settings),
		eventstore.WithLogger(slog.New(slog.DiscardHandler)),
	}
	if l != nil {
		options = append(options, eventstore.WithLocker(l))
	}
	return eventstore.NewProvider(s, append(options, more...)...)
}

// stored is an event as the stream holds it.
type stored struct {
	Version int64
	Append  string
	Part    int
	Of      int
	Idem    string
	Digest  string // of the whole event, metadata included
}

// storedOf returns the stored form of an event that was read with AsRaw.
func storedOf(event eventstore.Event) (stored, error) {
	raw, ok := event.Data.(eventstore.Raw)
	if !ok {
		return stored{}, fmt.Errorf("version %d is a %T, want an eventstore.Raw", event.Version, event.Data)
	}
	var w written
	if err := json.Unmarshal(raw.Payload, &w); err != nil {
		return stored{}, fmt.Errorf("version %d: %w", event.Version, err)
	}
	all, err := json.Marshal(event)
	if err != nil {
		return stored{}, fmt.Errorf("version %d: %w", event.Version, err)
	}
	return stored{
		Version: event.Version, Append: w.Append, Part: w.Part, Of: w.Of,
		Idem: event.Metadata.Context.IdempotencyID, Digest: digest(string(all)),
	}, nil
}

// digest returns one digest of several texts.
func digest(texts ...string) string {
	hash := sha256.New()
	for _, text := range texts {
		fmt.Fprintf(hash, "%d %s", len(text), text)
	}
	return hex.EncodeToString(hash.Sum(nil)[:12])
}

// digestOf returns the digest of a list of events.
func digestOf(events []stored) string {
	all := make([]string, len(events))
	for i, event := range events {
		all[i] = event.Digest
	}
	return digest(all...)
}
