package main

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
)

// job is a call of a command on a world. In its arguments FROM is the world, TO an empty store and
// FOLDER a folder with component files.
type job struct {
	args  string
	more  []string // arguments with spaces
	stdin string
	code  int
	json  bool // it takes --output json
	live  bool // only Ctrl+C ends it
}

// jobs has each command.
var jobs = []job{
	{args: "version", json: true},
	{args: "completion bash"}, {args: "completion zsh"}, {args: "completion fish"}, {args: "completion powershell"},
	{args: "check --offline FOLDER", json: true, code: exitNot},
	{args: "streams --store FROM", json: true},
	{args: "streams --store FROM --names", json: true},
	{args: "show --store FROM " + evilStream, json: true},
	{args: "show --store FROM --backwards " + evilStream, json: true},
	{args: "show --store FROM --at 5 " + evilStream, json: true},
	{args: "tail --store FROM --after 0 --count 6", json: true},
	{args: "tail --store FROM --after 0", json: true, live: true},
	{args: "find --store FROM --between 9h 2126-01-01", json: true},
	{args: "find --store FROM --user", more: []string{evil}, json: true},
	{args: "trace --store FROM", more: []string{"id1" + evil}, json: true},
	{args: "projections --store FROM", json: true},
	{args: "projections parked --store FROM", more: []string{hostileName}, json: true},
	{args: "projections parked --store FROM", more: []string{hostileName, "retry", "account:bad one", "account:closed"}, json: true, code: exitNot},
	{args: "projections parked --store FROM", more: []string{hostileName, "retry", "--all"}, json: true},
	{args: "projections parked --store FROM", more: []string{hostileName, "skip", "account:bad one"}, stdin: "y\n", json: true},
	{args: "projections rebuild --store FROM --drop", more: []string{hostileName}, stdin: "y\n", json: true},
	{args: "append --store FROM --expect any --type", more: []string{evil, "--user", evil, "--content-type", evil, "--data", evil, evilStream}, stdin: "y\n", json: true},
	{args: "append --store FROM --expect 0 --type t --data {} account:before%20the%20feed --yes", json: true, code: exitNot},
	{args: "doctor --store FROM --deep --components FOLDER", json: true, code: exitNot},
	{args: "copy --from FROM --to TO --all", json: true, code: exitNot},
	{args: "copy --from FROM --to TO --parallel 1 account:closed account:deleted " + evilStream, json: true},
	{args: "verify --store FROM --all", json: true, code: exitNot},
	{args: "rebuild-head --store FROM account:lost account:2 account:nosuch " + evilStream, json: true, code: exitNot},
	{args: "feed status --store FROM", json: true},
	{args: "feed import --store FROM --all", json: true, code: exitNot},
	{args: "feed verify --store FROM --all", json: true, code: exitNot},
	{args: "feed verify --store FROM --all --repair", json: true, code: exitNot},
	{args: "console --store FROM --listen 127.0.0.1:0", live: true},
}

// eachJob calls do with each job, as text and as JSON, in a bubble of its own with a world.
func eachJob(t *testing.T, payloads [][]byte, do func(t *testing.T, j job, w *memory.State)) {
	t.Helper()
	for _, j := range jobs {
		formats := []format{asText}
		if j.json {
			formats = append(formats, asJSON)
		}
		for _, format := range formats {
			j := j
			if j.json = format == asJSON; j.json {
				j.more = append(j.more[:len(j.more):len(j.more)], "--output", "json")
			}
			t.Run(strings.ReplaceAll(j.args, " --store FROM", "")+" "+string(format), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { do(t, j, world(t, payloads...)) })
			})
		}
	}
}

// of returns the arguments of a job.
func (j job) of(t *testing.T, from, to, folder string) []string {
	t.Helper()
	args := append(strings.Fields(j.args), j.more...)
	for i := range args {
		args[i] = strings.NewReplacer("FROM", from, "TO", to, "FOLDER", folder).Replace(args[i])
	}
	return args
}

// output is what a job writes to, line by line. It can be that of a pipe that is closed.
type output struct {
	mu     sync.Mutex
	said   bytes.Buffer
	writes int
	broken int // the write, counted from 1, that fails, and all after it
	each   func()
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writes++; o.broken > 0 && o.writes >= o.broken {
		return 0, syscall.EPIPE
	}
	if o.each != nil {
		o.each()
	}
	return o.said.Write(p)
}

// tried is what came of a job.
type tried struct {
	code      int
	out, errs string
	writes    int
	requests  int64
	took      time.Duration // since it was stopped
}

// try does a job on a copy of a world. It stops it at a request, counted from 1, or breaks its
// output at a write.
func (j job) try(t *testing.T, w *memory.State, folder string, at int64, broken int) (done tried) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stopped time.Time
	stop := sync.OnceFunc(func() {
		stopped = time.Now()
		cancel()
	})
	requests := new(atomic.Int64)
	from := &stopping{State: clone(t, w), requests: requests, at: at, stop: stop}
	to := &stopping{State: memory.New(), requests: requests, at: at, stop: stop}
	out, errs := &output{broken: broken}, &output{}
	if j.live {
		lines := 0
		out.each = func() {
			if lines++; lines == 4 || strings.HasPrefix(j.args, "console") {
				stop()
			}
		}
	}
	if at == 0 {
		stop()
	}
	done.code = run(ctx, j.of(t, lend(t, from), lend(t, to), folder), strings.NewReader(j.stdin), out, errs)
	if !stopped.IsZero() {
		done.took = time.Since(stopped)
	}
	done.out, done.errs, done.writes, done.requests = out.said.String(), errs.said.String(), out.writes, requests.Load()
	return done
}

const never = -1 // a request that does not come

func TestEachCommandIsTried(t *testing.T) {
	t.Parallel()
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		name := strings.TrimPrefix(cmd.CommandPath(), "eventstores ")
		if cmd.Name() != "help" && (!cmd.HasSubCommands() || name == "projections") && !slices.ContainsFunc(jobs, func(j job) bool { return strings.HasPrefix(j.args+" ", name+" ") }) {
			t.Errorf("%s is not tried", name)
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit((&call{}).root())
}

func TestEachCommandPrintsHostileDataHarmlessly(t *testing.T) {
	t.Parallel()
	payloads := [][]byte{[]byte(evil), {0xff, 0x1b, '['}, []byte("{\"a\":\"\u202e##[error]\"}"), append(bytes.Repeat([]byte("x"), 1<<20), evil...)}
	for _, text := range hostile {
		payloads = append(payloads, []byte(text))
	}
	folder := folder(t, file("s", "state.etcd"), file(`"\x1b[2J\n::error::"`, "lock.redis"))
	eachJob(t, payloads, func(t *testing.T, j job, w *memory.State) {
		did := j.try(t, w, folder, never, 0)
		wants(t, did.code, j.code, did.out+did.errs)
		if !strings.HasPrefix(j.args, "completion") { // scripts of a library
			isHarmless(t, did.out)
		}
		isHarmless(t, did.errs)
		if did.out == "" && j.code == exitWell {
			t.Error("it prints nothing")
		}
		if j.json {
			areJSON(t, did.out)
		}
	})
}

// areJSON checks that each line is a JSON object.
func areJSON(t *testing.T, said string) {
	t.Helper()
	for line := range strings.Lines(said) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Errorf("%v: %.300q", err, line)
		}
	}
}

// needed is what a command says on standard error before it does what it was told to.
var needed = regexp.MustCompile(`^(The command reads .*|(store|stream|event|user) {3,5}.*|Append this event\? \[y/N\] |Leave out .* \[y/N\] |Make views .* \[y/N\] )\n?`)

func unneeded(errs string) string {
	for needed.MatchString(errs) {
		errs = needed.ReplaceAllString(errs, "")
	}
	return errs
}

func TestEachCommandEndsQuietlyWhenItsOutputIsNotReadAnyMore(t *testing.T) {
	t.Parallel()
	folder := folder(t, file("s", "state.etcd"), file("l", "lock.redis"))
	eachJob(t, [][]byte{[]byte("{}"), []byte("x")}, func(t *testing.T, j job, w *memory.State) {
		whole := j.try(t, w, folder, never, 0)
		for _, at := range []int{1, 2, whole.writes / 2, whole.writes} {
			if at < 1 || at > whole.writes {
				continue
			}
			did := j.try(t, w, folder, never, at)
			if said := unneeded(did.errs); did.code != exitPipe || said != "" && !strings.Contains(unneeded(whole.errs), said) {
				t.Errorf("a pipe that breaks at write %d of %d: exit code %d, and it says %q", at, whole.writes, did.code, unneeded(did.errs))
			}
			if did.requests > whole.requests+4 { // a few, because requests at the same time share others
				t.Errorf("it goes on for %d requests, %d if it is read", did.requests, whole.requests)
			}
		}
	})
}

// changing are parts of lines that are never the same.
var changing = regexp.MustCompile(`id=\S+|"id":"[0-9a-f-]{36}"|127\.0\.0\.1:\d+|lent:\d+`)

// summary matches lines that count what was done.
var summary = regexp.MustCompile(`^\d+ (of \d+ streams|added|components)|^\{"(streams|added|components)"`)

func TestEachCommandIsStoppedAtEachRequest(t *testing.T) {
	t.Parallel()
	folder := folder(t, file("s", "state.etcd"), file("l", "lock.redis"))
	lines := func(said string) []string {
		all := slices.Collect(strings.Lines(changing.ReplaceAllString(said, "…")))
		slices.Sort(all)
		return all
	}
	eachJob(t, [][]byte{[]byte("{}"), []byte("x")}, func(t *testing.T, j job, w *memory.State) {
		whole := j.try(t, w, folder, never, 0)
		follows := j.live || strings.HasPrefix(j.args, "tail")
		all, warned := lines(whole.out), slices.Collect(strings.Lines(whole.errs))
		step := int64(1)
		if j.json { // which takes the same way
			step = 7
		}
		for at := int64(0); at <= whole.requests; at += step {
			did := j.try(t, w, folder, at, 0)
			got := lines(did.out)
			said := ""
			for line := range strings.Lines(unneeded(did.errs)) {
				if !slices.Contains(warned, line) {
					said += line
				}
			}
			complete := did.code == whole.code && slices.Equal(got, all) && said == ""
			stopped := did.code == exitNot && (strings.HasSuffix(said, ": stopped\n") || strings.HasPrefix(said, "Stopped early.") || strings.Contains(said, ": the event may or may not have been appended (")) && strings.Count(said, "\n") == 1
			if !complete && !stopped && !(follows && did.code == exitWell && said == "") {
				t.Errorf("stopped at request %d of %d: exit code %d: %s%s", at, whole.requests, did.code, did.out, said)
			}
			if did.took > time.Second {
				t.Errorf("stopped at request %d of %d: it goes on for %v", at, whole.requests, did.took)
			}
			for _, line := range got {
				if !slices.Contains(all, line) && !strings.Contains(line, `"result":"stopped"`) && !strings.HasPrefix(line, "stopped  ") && !summary.MatchString(line) {
					t.Errorf("stopped at request %d of %d: it prints %q", at, whole.requests, line)
				}
			}
			if j.json {
				areJSON(t, did.out)
			}
			if t.Failed() {
				return
			}
		}
	})
}
