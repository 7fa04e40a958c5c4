package console

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// snapshotView is the page of a snapshot.
type snapshotView struct {
	streamName
	Version  int64
	Created  time.Time
	Facts    []fact
	Download string
	payload
}

// versionOf returns the version that the path of a request names.
func versionOf(r *http.Request) (int64, error) {
	version, err := strconv.ParseInt(r.PathValue("version"), 10, 64)
	if err != nil || version < 1 {
		return 0, errNoVersion
	}
	return version, nil
}

// download sends the payload of an event, exactly as it is stored.
func (c *console) download(w http.ResponseWriter, r *http.Request) error {
	stream, err := c.streamOf(r)
	if err != nil {
		return err
	}
	version, err := versionOf(r)
	if err != nil {
		return err
	}
	events, err := c.feed.Provider().Reader(stream).Slice(r.Context(), version, version, eventstore.AsRaw())
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return errNoVersion
	}
	sendRaw(w, "event", version, events[0].Data)
	return nil
}

func (c *console) snapshot(r *http.Request) (streamName, eventstore.Snapshot, error) {
	stream, err := c.streamOf(r)
	if err != nil {
		return streamName{}, eventstore.Snapshot{}, err
	}
	version, err := versionOf(r)
	if err != nil {
		return streamName{}, eventstore.Snapshot{}, err
	}
	snapshot, err := c.feed.Provider().Reader(stream).Snapshot(r.Context(), version, eventstore.AsRaw())
	if errors.As(err, new(*eventstore.SnapshotNotFoundError)) || err == nil && snapshot.Version == 0 {
		err = errNoVersion
	}
	return c.nameOf(stream), snapshot, err
}

func (c *console) showSnapshot(w http.ResponseWriter, r *http.Request) error {
	name, snapshot, err := c.snapshot(r)
	if err != nil {
		return err
	}
	return c.render(w, http.StatusOK, "snapshot", snapshotView{streamName: name, Version: snapshot.Version, Created: snapshot.Created,
		Facts: c.factsOf(eventstore.Metadata{Custom: snapshot.Custom}), Download: name.snapshotPath(snapshot.Version) + "/raw", payload: payloadOf(snapshot.Data)})
}

func (c *console) downloadSnapshot(w http.ResponseWriter, r *http.Request) error {
	_, snapshot, err := c.snapshot(r)
	if err != nil {
		return err
	}
	sendRaw(w, "snapshot", snapshot.Version, snapshot.Data)
	return nil
}

// sendRaw sends a payload as a file. Its type is that of plain text whatever it is, so that no
// browser runs what is in it.
func sendRaw(w http.ResponseWriter, what string, version int64, data any) {
	raw, _ := data.(eventstore.Raw)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%d.txt"`, what, version))
	h.Set("Content-Length", strconv.Itoa(len(raw.Payload)))
	_, _ = w.Write(raw.Payload) // the client may have left
}
