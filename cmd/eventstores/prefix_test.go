package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
)

// fromSidecar makes a file with what a file holds, as if a sidecar had written it.
func fromSidecar(t *testing.T, world *memory.State, prefix string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "sidecar.db")
	state, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	for key, err := range world.ListKeys(t.Context(), "") {
		var item driver.Item
		if err == nil {
			item, err = world.Get(t.Context(), "x", key)
		}
		if err == nil {
			err = state.Write(t.Context(), "x", []driver.Write{{Key: prefix + "||" + key, Value: item.Value}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func TestAStoreIsReadUnderThePrefixOfASidecar(t *testing.T) {
	t.Parallel()
	original := world(t, []byte(`{}`))
	spec := lend(t, original)
	with := "sqlite:" + fromSidecar(t, original, "statestore") + "?prefix=statestore"
	for _, args := range []string{"streams -o json", "show -o json account:2", "tail -o json --after 0 --count 2", "find -o json --event-type counted --between 9000h 0s",
		"projections -o json", "verify --all --parallel 1 -o json", "feed status", "feed verify -o json"} {
		of := func(store string) (int, string) {
			code, out, errs := runs(t, "", append(strings.Fields(args), "--store", store)...)
			return code, strings.ReplaceAll(out+errs, store, "")
		}
		wantCode, want := of(spec)
		if code, got := of(with); code != wantCode || got != want {
			t.Errorf("%s: exit code %d with\n%s\nwant %d with\n%s", args, code, got, wantCode, want)
		}
	}
}

func TestAStoreUnderAnotherPrefixIsRecognized(t *testing.T) {
	t.Parallel()
	bare := filepath.Join(t.TempDir(), "bare.db")
	fill(t, bare, 1, "1")
	bare, bank := "sqlite:"+bare, "sqlite:"+fromSidecar(t, world(t, []byte(`{}`)), "bank")
	for _, args := range []string{"streams", "streams --names", "streams --type account", "show account:2", "show --at 1 account:2", "tail", "find --user u", "trace x",
		"projections", "projections rebuild p", "projections parked p", "doctor", "feed status", "feed verify", "verify account:2", "rebuild-head account:2", "verify -o json account:2"} {
		code, out, errs := runs(t, "", append(strings.Fields(args), "--store", bank)...)
		wants(t, code, exitNot, out+errs, "name the store with ?prefix=bank at its end")
	}
	for _, args := range []string{"streams", "show account:1", "doctor"} {
		code, out, errs := runs(t, "", append(strings.Fields(args), "--store", bare+"?prefix=bank")...)
		wants(t, code, exitNot, out+errs, "have no prefix; leave out ?prefix=")
	}
	code, out, errs := runs(t, "", "streams", "--store", bare, "--type", "nosuch")
	wants(t, code, exitWell, out+errs) // it has other streams
	if errs != "" {
		t.Errorf("it says %q", errs)
	}
}

func TestAStoreThatCannotListItsKeysAdvisesToComparePrefixes(t *testing.T) {
	t.Parallel()
	state := memory.New()
	defer state.Close()
	if err := noFeed(t.Context(), store{}, opened{state: struct{ driver.State }{state}}); !errors.Is(err, errNoFeed) || !strings.Contains(err.Error(), "compare keyPrefix and app id") {
		t.Error(err)
	}
	if err := noFeed(t.Context(), store{lists: true}, opened{state: state}); err != errNoFeed {
		t.Error(err)
	}
}

func TestAPrefixThatIsNoneIsNotShown(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"sqlite:x.db?prefix=", "sqlite:x.db?prefix=a:hunter2@b", "redis://localhost/0?prefix=hunter2||x", "redis://localhost/0?prefix=hunter2%40", "redis://localhost/0?prefix="} {
		code, out, errs := runs(t, "", "streams", "--store", spec)
		wants(t, code, exitUsage, out+errs, "?prefix= must be")
		if strings.Contains(errs, "hunter2") {
			t.Errorf("%s: %s", spec, errs)
		}
	}
	left, right := "redis://localhost/0?prefix=a", "redis://localhost/0?prefix=b"
	a, errA := parseStore(left, reading)
	b, errB := parseStore(right, reading)
	if errA != nil || errB != nil || a.same == b.same || a.name != "redis://localhost:6379/0?prefix=a" {
		t.Errorf("%q and %q: %v, %v", a.name, b.name, errA, errB)
	}
}

func TestAPrefixKeepsTheRulesOfAStore(t *testing.T) {
	t.Parallel()
	state := memory.New()
	defer state.Close()
	storetest.TestState(t, withPrefix(state, "bank"), storetest.Limits{})
	for key, err := range state.ListKeys(t.Context(), "") {
		if err != nil || !strings.HasPrefix(key, "bank||") {
			t.Fatalf("key %s: %v", key, err)
		}
	}
}
