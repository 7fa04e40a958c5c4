package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func TestResultsArePrintedAsJSON(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, to := filepath.Join(dir, "events.db"), filepath.Join(dir, "to.db")
	fill(t, db, 2, "1", "2", "3")
	inFile(t, db, func(state driver.State, _ *eventstore.Provider) error {
		return state.Write(t.Context(), "x", []driver.Write{{Key: "{EventStores:account:2}:head"}, {Key: "{EventStores:account:3}:1"}})
	})
	store := "sqlite:" + db
	components := folder(t, file("s", "state.in-memory"))
	for _, c := range []struct {
		args []string
		code int
		want []string // lines, or beginnings of them
	}{
		{[]string{"verify", "--store", store, "--parallel", "1", "account:1", "account:2", "account:3", "account:nosuch"}, exitNot, []string{
			`{"stream":"EventStores:account:1","result":"sound","version":2,"events":2,"snapshots":1,"closed":false,"damage":0}`,
			`{"stream":"EventStores:account:2","finding":"eventstore: stream EventStores:account:2 is damaged: check key {EventStores:account:2}:head: `,
			`{"stream":"EventStores:account:2","result":"damaged","version":0,`,
			`{"stream":"EventStores:account:3","finding":"eventstore: stream EventStores:account:3 is damaged at version 1: `,
			`{"stream":"EventStores:account:3","result":"damaged","version":2,"events":1,"snapshots":1,"closed":false,"damage":1}`,
			`{"stream":"EventStores:account:nosuch","result":"empty","error":"the store has no such stream; check the name"}`,
			`{"streams":4,"done":1,"failed":3}`,
		}},
		{[]string{"copy", "--from", store, "--to", "sqlite:" + to, "--parallel", "1", "account:1", "account:3", "account:nosuch"}, exitNot, []string{
			`{"stream":"EventStores:account:1","result":"copied","version":2,"before":0,"copied":2,"bytes":14,"verified":2,"snapshots":1,"closed":false}`,
			`{"stream":"EventStores:account:3","result":"failed","error":"transfer: the source is damaged`,
			`{"stream":"EventStores:account:nosuch","result":"empty","error":"the source has no such stream; check the name"}`,
			`{"streams":3,"done":1,"failed":2}`,
		}},
		{[]string{"rebuild-head", "--store", store, "account:1", "account:2", "account:nosuch"}, exitNot, []string{
			`{"stream":"EventStores:account:1","result":"sound","version":2,"events":0,"idempotencyKeys":0}`,
			`{"stream":"EventStores:account:2","result":"rebuilt","version":2,"events":2,"idempotencyKeys":0}`,
			`{"stream":"EventStores:account:nosuch","result":"empty","error":`,
			`{"streams":3,"done":2,"failed":1}`,
		}},
		{[]string{"feed", "import", "--store", store, "--feed", "all", "account:1", "account:nosuch"}, exitNot, []string{
			`{"stream":"EventStores:account:nosuch","result":"empty","error":"the store has no such stream; check the name"}`,
			`{"added":1,"known":0,"deleted":0,"empty":1,"failed":0}`,
		}},
		{[]string{"feed", "status", "--store", store}, exitWell, []string{`{"feed":"all","end":0,"journals":`}},
		{[]string{"feed", "verify", "--store", store, "account:2"}, exitNot, []string{
			`{"pass":"verify","kind":"unlisted","stream":"EventStores:account:2"}`,
			`{"feed":"all","end":0,"entries":0,"streams":0,"behind":`,
		}},
		{[]string{"feed", "verify", "--repair", "--store", store, "account:2"}, exitWell, []string{
			`{"pass":"repair","kind":"unlisted","stream":"EventStores:account:2","repaired":"imported"}`,
			`{"feed":"all",`,
		}},
		{[]string{"check", "--offline", components}, exitWell, []string{
			`{"file":"` + components + `/0.yaml","line":6,"level":"hint","text":"s (state.in-memory): `,
			`{"components":1,"refused":0,"warnings":0,"hints":1}`,
		}},
		{[]string{"version"}, exitWell, []string{`{"version":"`}},
	} {
		code, out, errs := runs(t, "", append(c.args, "--output", "json")...)
		wants(t, code, c.code, out+errs)
		areJSON(t, out)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) != len(c.want) {
			t.Errorf("%q: %d lines, want %d:\n%s", c.args, len(lines), len(c.want), out)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%q: line %d is %s, want %s", c.args, i, lines[i], want)
			}
		}
	}
}

func TestAPasswordIsHiddenInJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &call{stdout: &printer{w: &out}, stderr: &printer{w: &out}}
	c.hide("hunter2")
	c.say(asJSON, "", outcome{word: "failed", why: "dial hunter2"}.json(c, eventstore.Stream{Database: "d", Type: "t", ID: "1"}))
	if want := `{"stream":"d:t:1","result":"failed","error":"dial ***"}` + "\n"; out.String() != want {
		t.Errorf("it prints %s, want %s", &out, want)
	}
}
