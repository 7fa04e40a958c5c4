package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
)

// auditorVariable turns this executable into an auditor. It holds the auditConfig.
const auditorVariable = "EVENTSTORES_CHAOS_AUDITOR"

// auditConfig is the configuration of the auditor.
type auditConfig struct {
	Sidecar string // address
	Streams []string
}

// audited is what the auditor found about one stream.
type audited struct {
	Stream          string
	Events          []stored // none if it was deleted
	Closed, Deleted bool
	Error           string // what is wrong with it
}

const auditTimeout = 10 * time.Minute

// audit is the main function of the auditor, a fresh process that has seen nothing of the run. It
// reads all streams from the beginning and verifies them.
func audit() {
	var config auditConfig
	configOf(auditorVariable, &config)
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	client, err := dapr.NewClientWithAddressContext(ctx, config.Sidecar)
	if err != nil {
		fatal(err)
	}
	defer client.Close()
	state, err := sidecar.NewState(ctx, client, "statestore")
	if err != nil {
		fatal(err)
	}
	provider, err := newProvider(state, nil, eventstore.DefaultSettings())
	if err != nil {
		fatal(err)
	}
	results := json.NewEncoder(os.NewFile(resultsFD, "results"))
	streams := make(chan string)
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for id := range streams {
				found := audited{Stream: id}
				if err := found.read(ctx, provider); err != nil {
					found.Error = err.Error()
				}
				mu.Lock()
				err := results.Encode(found)
				mu.Unlock()
				if err != nil {
					fatal(err)
				}
			}
		})
	}
	for _, id := range config.Streams {
		streams <- id
	}
	close(streams)
	all.Wait()
}

func (a *audited) read(ctx context.Context, provider *eventstore.Provider) error {
	reader := provider.Reader(provider.Stream(aggregateType, a.Stream))
	for event, err := range reader.Read(ctx, eventstore.AsRaw()) {
		if errors.As(err, new(*eventstore.StreamDeletedError)) {
			a.Deleted = true
			return nil
		}
		if err != nil {
			return err
		}
		s, err := storedOf(event)
		if err != nil {
			return err
		}
		a.Events = append(a.Events, s)
	}
	found, err := reader.Verify(ctx, nil)
	if err != nil {
		return err
	}
	if !found.Sound() {
		damage := make([]error, len(found.Damage))
		for i, d := range found.Damage {
			damage[i] = d
		}
		return errors.Join(damage...)
	}
	a.Closed = found.Closed
	if found.Version != int64(len(a.Events)) || found.Events != found.Version {
		return fmt.Errorf("Verify found %d events up to version %d, reading gave %d", found.Events, found.Version, len(a.Events))
	}
	return nil
}

// readAudit returns a function that reads the auditor's output into a map by stream.
func readAudit(into map[string]audited) func(io.Reader) error {
	return func(r io.Reader) error {
		for results := json.NewDecoder(r); ; {
			var a audited
			if err := results.Decode(&a); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			into[a.Stream] = a
		}
	}
}
