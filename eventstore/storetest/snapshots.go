package storetest

import (
	"slices"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// testSnapshots saves, lists, finds, damages and clears snapshots, and loads from them.
func testSnapshots(t *testing.T, target Target) {
	p := target.provider(t)
	id := unique()
	s := open(t, p, id)
	ctx := contextOf(t)
	_, err := s.LastSnapshot(ctx)
	want[*eventstore.SnapshotNotFoundError](t, err)
	var batch []any
	for range 25 {
		batch = append(batch, deposited{Amount: 10})
	}
	appendOne(t, s, batch...)
	fold := func(a account, e eventstore.Event) (account, error) {
		a.Balance += e.Data.(deposited).Amount
		a.Events++
		return a, nil
	}
	made, err := eventstore.BuildSnapshots(ctx, s, 10, account{}, fold)
	if err != nil || !slices.Equal(made, []int64{10, 20}) {
		t.Fatalf("BuildSnapshots: %v, %v", made, err)
	}
	if err := s.SaveSnapshot(ctx, 15, account{Balance: 150, Events: 15}); err != nil {
		t.Fatal(err)
	}
	want[*eventstore.VersionNotFoundError](t, s.SaveSnapshot(ctx, 26, account{}))
	for _, r := range []*eventstore.Reader{s.Reader, reader(t, p, id)} {
		if v, err := r.Snapshots(ctx); err != nil || !slices.Equal(v, []int64{10, 15, 20}) {
			t.Errorf("Snapshots: %v, %v", v, err)
		}
		for _, c := range []struct{ to, snapshot, last int64 }{{0, 20, 25}, {25, 20, 25}, {22, 20, 22}, {20, 20, 20}, {19, 15, 19}, {9, 0, 9}, {99, 20, 25}} {
			var options []eventstore.ReadOption
			if c.to > 0 {
				options = append(options, eventstore.ToVersion(c.to))
			}
			snapshot, events, err := r.Load(ctx, options...)
			if err != nil {
				t.Fatal(err)
			}
			rest := collect(t, events)
			state, _ := snapshot.Data.(account)
			for _, e := range rest {
				state, _ = fold(state, e)
			}
			if snapshot.Version != c.snapshot || state.Events != int(c.last) || state.Balance != 10*c.last || int64(len(rest)) != c.last-c.snapshot {
				t.Errorf("Load up to %d: snapshot at %d, then %v", c.to, snapshot.Version, versions(rest))
			}
		}
		if last, err := r.LastSnapshot(ctx); err != nil || last.Version != 20 || last.Data != (account{200, 20}) {
			t.Errorf("LastSnapshot: %+v, %v", last, err)
		}
	}
	// Of the snapshots up to version 19, the newest is missing. The next older one is used.
	k := names{partition: s.Stream().String()}
	write(t, target.State, k, driver.Write{Key: k.key("snapshot:20"), Value: []byte("not ours")}, driver.Write{Key: k.key("snapshot:15")})
	snapshot, events, err := s.Load(ctx, eventstore.ToVersion(19))
	if err != nil || snapshot.Version != 10 || len(collect(t, events)) != 9 {
		t.Errorf("Load past damaged snapshots: %+v, %v", snapshot, err)
	}
	_, err = s.Snapshot(ctx, 20)
	want[*eventstore.DamagedError](t, err)
	if err := s.ClearSnapshot(ctx, 10); err != nil {
		t.Error(err)
	}
	want[*eventstore.SnapshotNotFoundError](t, s.ClearSnapshot(ctx, 10))
	if err := s.ClearSnapshots(ctx); err != nil {
		t.Error(err)
	}
	if v, err := s.Snapshots(ctx); err != nil || len(v) > 0 {
		t.Errorf("after clearing: %v, %v", v, err)
	}
	wantVersions(t, collect(t, s.Read(ctx)), upTo(25))
}

// testSnapshotNotFound asks for a snapshot that was never saved.
func testSnapshotNotFound(t *testing.T, target Target) {
	s := open(t, target.provider(t), unique())
	_, err := s.Snapshot(contextOf(t), 7)
	if e := want[*eventstore.SnapshotNotFoundError](t, err); e.Version != 7 || e.Stream != s.Stream() {
		t.Errorf("%+v", e)
	}
}
