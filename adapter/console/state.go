package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// fold returns the state of a stream at a version, and the version of the snapshot that it used.
type fold func(ctx context.Context, reader *eventstore.Reader, version int64) (state any, snapshot int64, err error)

// WithFold makes the console show the state of streams of an aggregate type at any version. It
// begins with the newest snapshot at or below the version, if that is an S, or with initial. Then
// it calls apply with each event. The types of the events must be registered, see
// [eventstore.WithRegistry]. The state is shown as JSON.
//
// Apply is called by several requests at the same time, so it must not change initial. If it takes
// too long, 9 seconds in all, the page says so. Without a fold, the console shows the snapshot. A
// type has one fold.
//
// The fold gets events as any reader does. So a state shows what package sealed has encrypted, if
// the provider has its keys.
func WithFold[S any](aggregateType string, initial S, apply func(state S, event eventstore.Event) (S, error)) Option {
	return func(c *console) error {
		if apply == nil {
			return wrong("fold", "it is nil")
		}
		if _, twice := c.folds[aggregateType]; twice {
			return wrong("fold", "the type "+strconv.Quote(aggregateType)+" has one")
		}
		c.folds[aggregateType] = func(ctx context.Context, reader *eventstore.Reader, version int64) (any, int64, error) {
			snapshot, events, err := reader.Load(ctx, eventstore.ToVersion(version))
			if err != nil {
				return nil, 0, err
			}
			state, ok := snapshot.Data.(S)
			if !ok {
				state, snapshot.Version = initial, 0
				events = reader.Read(ctx, eventstore.ToVersion(version))
			}
			for event, err := range events {
				if err != nil {
					return nil, 0, err
				}
				if state, err = applied(apply, state, event); err != nil {
					return nil, 0, err
				}
			}
			return state, snapshot.Version, nil
		}
		return nil
	}
}

// applied applies an event. A panic of the fold is an error.
func applied[S any](apply func(S, eventstore.Event) (S, error), state S, event eventstore.Event) (next S, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("the fold panicked at version %d: %v", event.Version, reason)
		}
	}()
	if next, err = apply(state, event); err != nil {
		err = fmt.Errorf("the fold failed at version %d: %w", event.Version, err)
	}
	return next, err
}

// stateView is the page of the state of a stream at a version.
type stateView struct {
	streamName
	Version  int64
	Last     int64 // the version of the stream
	Earlier  int64 // 0 if there is none
	Later    int64
	HasFold  bool
	Text     string // the state
	Snapshot int64  // the version of the snapshot that is shown or was used; 0 if there is none
	Saved    time.Time
	Found    payload // the snapshot
	Download string
	Trouble  string
}

func (c *console) showState(w http.ResponseWriter, r *http.Request) error {
	stream, err := c.streamOf(r)
	if err != nil {
		return err
	}
	version, err := numberOf(r, "version")
	if err != nil {
		return err
	}
	var about streamView
	reader := c.feed.Provider().Reader(stream)
	if err := c.describe(r.Context(), reader, &about); err != nil {
		return err
	}
	if version == 0 {
		version = about.Version
	}
	if version > about.Version || about.State == "deleted" {
		return errNoVersion
	}
	v := stateView{streamName: c.nameOf(stream), Version: version, Last: about.Version, Earlier: version - 1}
	if version < about.Version {
		v.Later = version + 1
	}
	if err := c.stateAt(r.Context(), reader, &v, c.folds[stream.Type]); err != nil {
		return err
	}
	return c.render(w, http.StatusOK, "state", v)
}

func (c *console) stateAt(ctx context.Context, reader *eventstore.Reader, v *stateView, at fold) error {
	if at == nil {
		snapshot, err := reader.LastSnapshot(ctx, eventstore.ToVersion(v.Version), eventstore.AsRaw())
		if err != nil || snapshot.Version == 0 {
			return err
		}
		v.Snapshot, v.Saved, v.Found, v.Download = snapshot.Version, snapshot.Created, payloadOf(snapshot.Data), v.snapshotPath(snapshot.Version)+"/raw"
		return nil
	}
	v.HasFold = true
	state, snapshot, err := at(ctx, reader, v.Version)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		var text []byte
		if text, err = json.MarshalIndent(state, "", "  "); len(text) > maxState {
			text = append(whole(text[:maxState]), "…"...)
		}
		v.Text, v.Snapshot = visible(string(text)), snapshot
	}
	if err != nil {
		v.Trouble = visible(err.Error())
	}
	return nil
}

// maxState is how many bytes of a state are shown.
const maxState = 256 << 10
