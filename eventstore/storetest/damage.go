package storetest

import (
	"reflect"
	"slices"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// testDamage damages each kind of record in each way, and expects an error that names the key.
func testDamage(t *testing.T, target Target) {
	settings := eventstore.DefaultSettings()
	settings.TailEvents = 1 // events under their own keys are what is damaged here
	p := target.provider(t, eventstore.WithSettings(settings))
	id := unique()
	s := open(t, p, id)
	appendOne(t, s, opened{})
	appendOne(t, s, deposited{}, deposited{})
	appendOne(t, s, deposited{})
	s.Close()
	k := names{partition: s.Stream().String()}
	r := reader(t, p, id)
	original := getMany(t, target.State, k, "2", "3")
	for _, c := range []struct {
		name  string
		value []byte
	}{
		{"missing", nil}, {"not ours", []byte(`{"value":"not ours"}`)}, {"empty header", []byte("eventstore/1 event 00000000\n\n")},
		{"another version", original[1].Value}, {"one byte changed", slices.Concat(original[0].Value[:len(original[0].Value)-1], []byte("!"))},
		{"cut off", original[0].Value[:40]},
	} {
		write(t, target.State, k, driver.Write{Key: k.key("2"), Value: c.value})
		var got []int64
		var failure error
		for event, err := range r.Read(contextOf(t)) {
			if err != nil {
				failure = err
				break
			}
			got = append(got, event.Version)
		}
		if e := want[*eventstore.DamagedError](t, failure); e.Version != 2 || e.Key != k.key("2") || e.Stream != s.Stream() {
			t.Errorf("%s: %+v", c.name, e)
		}
		if !slices.Equal(got, []int64{1}) {
			t.Errorf("%s: read %v before the damage, want [1]", c.name, got)
		}
	}
	write(t, target.State, k, driver.Write{Key: k.key("2"), Value: original[0].Value})
	wantVersions(t, collect(t, r.Read(contextOf(t))), upTo(4))

	// A foreign head, and a missing head of a stream that has events.
	other := unique()
	n := names{partition: eventstore.Stream{Database: "EventStores", Type: "account", ID: other}.String()}
	swap(t, target.State, n, "head", "not ours", "")
	_, err := reader(t, p, other).Version(contextOf(t))
	want[*eventstore.DamagedError](t, err)
	_, err = p.Open(contextOf(t), p.Stream("account", other))
	want[*eventstore.DamagedError](t, err)
	other = unique()
	n = names{partition: eventstore.Stream{Database: "EventStores", Type: "account", ID: other}.String()}
	write(t, target.State, n, driver.Write{Key: n.key("1"), Value: original[0].Value})
	_, err = p.Open(contextOf(t), p.Stream("account", other))
	if e := want[*eventstore.DamagedError](t, err); e.Key != n.key("head") {
		t.Errorf("%+v", e)
	}

	// All other records of a stream.
	s = open(t, p, id)
	write(t, target.State, k, driver.Write{Key: k.key("idem:x"), Value: []byte("not ours")}, driver.Write{Key: k.key("snapshot:1"), Value: []byte("not ours")})
	swap(t, target.State, k, "snapshots", "not ours", "")
	for key, damaged := range map[string]func() error{
		"idem:x":     func() error { _, err := r.VersionOf(contextOf(t), "x"); return err },
		"snapshots":  func() error { _, err := r.Snapshots(contextOf(t)); return err },
		"snapshot:1": func() error { _, err := r.Snapshot(contextOf(t), 1); return err },
	} {
		if e := want[*eventstore.DamagedError](t, damaged()); e.Key != k.key(key) || e.Stream != s.Stream() {
			t.Errorf("%s: %+v", key, e)
		}
	}
	if target.Locker == nil {
		swap(t, target.State, n, "lease", "not ours", get(t, target.State, n, "lease").ETag)
		_, err = p.Open(contextOf(t), p.Stream("account", other))
		if e := want[*eventstore.DamagedError](t, err); e.Key != n.key("lease") {
			t.Errorf("%+v", e)
		}
	}
}

// testRebuildHead removes the head of a stream and rebuilds it from the events.
func testRebuildHead(t *testing.T, target Target) {
	p := target.provider(t)
	s := open(t, p, unique())
	stream, named := s.Stream(), eventstore.Event{Data: deposited{Amount: 2}}
	named.Metadata.Context.IdempotencyID = "twice"
	appendOne(t, s, opened{}, named)
	appendOne(t, s, deposited{Amount: 3}) // which writes the first two, if only the head held them
	appendOne(t, s, deposited{Amount: 4})
	s.Close()
	before := collect(t, reader(t, p, stream.ID).Read(contextOf(t)))
	k := names{partition: stream.String()}
	write(t, target.State, k, driver.Write{Key: k.key("head")}, driver.Write{Key: k.key("idem:twice")})
	verify := func() eventstore.Verification {
		t.Helper()
		found, err := reader(t, p, stream.ID).Verify(contextOf(t), nil)
		if err != nil {
			t.Fatalf("Verify: %v", err)
		}
		return found
	}
	if found := verify(); found.Sound() || found.Damage[0].Key != k.key("head") {
		t.Errorf("without its head the stream was verified as %+v", found)
	}
	_, err := p.Open(contextOf(t), p.Stream("account", stream.ID))
	want[*eventstore.DamagedError](t, err)

	rebuilt, err := p.RebuildHead(contextOf(t), stream, nil)
	if err != nil {
		t.Fatalf("RebuildHead: %v", err)
	}
	if rebuilt.Damage == nil || rebuilt.Version != 4 || rebuilt.Events != 4 || rebuilt.IdempotencyKeys != 1 {
		t.Errorf("rebuilt %+v", rebuilt)
	}
	if found := verify(); !found.Sound() || found.Version != 4 || found.Events != 4 {
		t.Errorf("with its head rebuilt the stream was verified as %+v", found)
	}
	after := collect(t, reader(t, p, stream.ID).Read(contextOf(t)))
	if !reflect.DeepEqual(before, after) {
		t.Errorf("the stream was %v and is %v", before, after)
	}
	s = open(t, p, stream.ID)
	defer s.Close()
	_, err = s.Append(contextOf(t), eventstore.ExpectVersion(4), named)
	if e := want[*eventstore.IdempotencyIDUsedError](t, err); e.Version != 2 {
		t.Errorf("%+v", e)
	}
	appendOne(t, s, closed{})
	if again, err := p.RebuildHead(contextOf(t), stream, nil); err != nil || again.Damage != nil || again.Version != 5 {
		t.Errorf("a sound head was rebuilt: %+v, %v", again, err)
	}
}
