package integration

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// Two services have their own sidecars with different app ids. They share streams and locks if the
// key prefix does not depend on the app id. Otherwise they are separate.
func TestServicesShareStreamsAndLocksAsTheKeyPrefixSays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		prefix string
		shared bool
	}{
		{"name", true}, // as in the files of components/redis
		{"none", true},
		{"appid", false},
		{"", false}, // the sidecar's default, which is appid
	} {
		t.Run("keyPrefix "+test.prefix, func(t *testing.T) {
			r := servers.StartRedis(t)
			metadata := map[string]string{"redisHost": r.Addr, "redisPassword": ""}
			if test.prefix != "" {
				metadata["keyPrefix"] = test.prefix
			}
			components := []string{
				servers.Component("statestore", "state.redis", "v1", metadata),
				servers.Component("lockstore", "lock.redis", "v1", metadata),
			}
			bank := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: components})
			audit := servers.StartDaprd(t, servers.DaprdConfig{AppID: "audit", Components: components})
			locks := map[string]func(*servers.Daprd) driver.Locker{
				"with a lock":  func(d *servers.Daprd) driver.Locker { return locker(t, d) },
				"with a lease": func(*servers.Daprd) driver.Locker { return nil },
			}
			for name, lock := range locks {
				t.Run(name, func(t *testing.T) { shares(t, bank, audit, lock, test.shared) })
			}
		})
	}
}

func shares(t *testing.T, bank, audit *servers.Daprd, lock func(*servers.Daprd) driver.Locker, shared bool) {
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout = 0
	of := func(d *servers.Daprd) *eventstore.Provider {
		return provider(t, state(t, d), lock(d), eventstore.WithSettings(settings))
	}
	open := func(p *eventstore.Provider) (*eventstore.Session, error) {
		return p.Open(t.Context(), p.Stream("account", t.Name()))
	}
	banks, audits := of(bank), of(audit)

	first, err := open(banks)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Append(t.Context(), eventstore.ExpectVersion(0), racing.Event{Writer: "bank"}); err != nil {
		t.Fatal(err)
	}
	second, err := open(audits)
	if !shared {
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if version, err := second.Version(t.Context()); version != 0 || err != nil {
			t.Errorf("the other service sees version %d, %v, want an empty stream", version, err)
		}
		return
	}
	wantError(t, err, &eventstore.OpenTimeoutError{}, "could not be opened", "or raise Settings.OpenTimeout")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if second, err = open(audits); err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if version, err := second.Append(t.Context(), eventstore.ExpectVersion(1), racing.Event{Writer: "audit"}); version != 2 || err != nil {
		t.Fatalf("the other service appends at version %d, %v", version, err)
	}
	reader := banks.Reader(banks.Stream("account", t.Name()))
	racing.Compare(t, reader, []racing.Ack{{Writer: "bank", Events: 1, Version: 1}, {Writer: "audit", Events: 1, Version: 2}})
}
