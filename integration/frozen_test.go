package integration

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

func TestNothingWaitsForEverOnASidecarThatIsFrozen(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}})
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout, settings.CommitTimeout, settings.RequestTimeout = time.Second, time.Second, time.Second
	client := d.Client(t)
	s, err := sidecar.NewState(t.Context(), client, "statestore")
	if err != nil {
		t.Fatal(err)
	}
	l, err := sidecar.NewLocker(t.Context(), client, "lockstore")
	if err != nil {
		t.Fatal(err)
	}
	p := provider(t, s, l, eventstore.WithSettings(settings))
	session, err := p.Open(t.Context(), racing.Stream("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Append(t.Context(), eventstore.ExpectVersion(0), racing.Event{N: 0}); err != nil {
		t.Fatal(err)
	}
	reader := p.Reader(racing.Stream("1"))
	forever := context.Background() // no caller gives up
	d.Pause(t)
	for name, operation := range map[string]func() error{
		"version": func() error { _, err := reader.Version(forever); return err },
		"read": func() (err error) {
			for _, err = range reader.Read(forever) {
			}
			return err
		},
		"open":        func() error { _, err := p.Open(forever, racing.Stream("2")); return err },
		"open shared": func() error { _, err := p.Open(forever, racing.Stream("3"), eventstore.Shared()); return err },
	} {
		began := time.Now()
		err := operation()
		if !errors.As(err, new(*eventstore.StorageError)) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took > 10*time.Second { // the promise is 2 s, on an idle machine
			t.Errorf("%s took %s", name, took)
		}
	}
	// The session reads the head again before it writes anything, so it knows that nothing was
	// stored.
	_, err = session.Append(forever, eventstore.ExpectVersion(1), racing.Event{N: 1})
	wantError(t, err, &eventstore.StorageError{}, "Settings.RequestTimeout")

	d.Resume(t)
	if version, err := session.Append(t.Context(), eventstore.ExpectVersion(1), racing.Event{N: 1}); version != 2 || err != nil {
		t.Errorf("Append: %d, %v", version, err)
	}
	racing.Compare(t, reader, []racing.Ack{{N: 0, Events: 1, Version: 1}, {N: 1, Events: 1, Version: 2}})
}

// With the options of the SDK, finding the sidecar again would take as long as it was away, up to
// two minutes.
func TestASidecarThatComesBackIsFoundSoon(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("statestore", r)}})
	s, err := sidecar.NewState(t.Context(), d.Client(t, sidecar.DialOptions()...), "statestore")
	if err != nil {
		t.Fatal(err)
	}
	reader := provider(t, s, racing.NoLock{}).Reader(racing.Stream("1"))
	d.Kill(t)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	// This is long enough for attempts to connect to become rare, if they ever do.
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end); <-ticker.C {
		if _, err := reader.Version(t.Context()); !errors.As(err, new(*eventstore.StorageError)) {
			t.Fatalf("want an error while the sidecar is away, got %v", err)
		}
	}
	d.Restart(t)
	began := time.Now()
	for err = errors.New("not asked"); err != nil; <-ticker.C {
		_, err = reader.Version(t.Context())
		if took := time.Since(began); err != nil && took > 5*time.Second { // the promise is 2 s
			t.Fatalf("the sidecar is not found after %s: %v", took, err)
		}
	}
	t.Logf("the sidecar was found within %s", time.Since(began).Round(time.Millisecond))
}
