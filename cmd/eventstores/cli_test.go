package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFlagsStandBeforeAndAfterNamesWithOneDashOrTwo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 1, "1", "2")
	for _, args := range [][]string{
		{"verify", "-store", "sqlite:" + file, "account:1", "account:2"},
		{"verify", "--store", "sqlite:" + file, "account:1", "account:2"},
		{"verify", "account:1", "--store=sqlite:" + file, "account:2"},
		{"verify", "account:1", "account:2", "-store=sqlite:" + file},
		{"verify", "-store", "sqlite:" + file, "--", "account:1", "account:2"},
	} {
		code, out, errs := runs(t, "", args...)
		if wants(t, code, exitWell, out+errs, "2 of 2 streams sound"); t.Failed() {
			t.Fatalf("it was %q", args)
		}
	}
	// A value that looks like a flag is a value.
	code, out, errs := runs(t, "", "verify", "-store", "sqlite:"+file, "-database", "-none", "account:1")
	wants(t, code, exitNot, out+errs, "empty    -none:account:1")
}

func TestAWrongArgumentSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		says string
		args []string
	}{
		{`eventstores: unknown command "strems"; did you mean streams?`, []string{"strems", "--store", "sqlite:x"}},
		{`eventstores feed: unknown command "verfy"; did you mean verify?`, []string{"feed", "verfy", "--repair"}},
		{"unknown command\n", []string{"p@ss:word", "--store", "x"}},
		{"invalid value for flag --since: it must be a time such as 2h, 3d, ", []string{"streams", "--since", "p@ss:word"}},
		{"invalid value for flag --output: it must be text or json", []string{"streams", "-o", "p@ss:word"}},
		{"invalid value for flag --count: it must be a whole number", []string{"tail", "--count", "p@ss:word"}},
		{"invalid value for flag --patience: it must be a duration such as 5s", []string{"doctor", "--patience", "p@ss:word"}},
		{"invalid value for flag --raw: it must be true or false", []string{"show", "--raw=p@ss:word"}},
		{"invalid value for flag --ask: it must be a host or host:port", []string{"check", "--ask", "u:p@ss"}},
		{"unknown flag --nosuch", []string{"projections", "--nosuch"}},
		{"invalid flag; put -- before names that begin with a dash", []string{"show", "--store", "sqlite:x", "-a:b"}},
	} {
		code, _, errs := runs(t, "", c.args...)
		if wants(t, code, exitUsage, errs, c.says); strings.Contains(errs, "p@ss") {
			t.Errorf("it prints what may be a password: %s", errs)
		}
	}
	code, out, errs := runs(t, "", "version", "-o=json")
	wants(t, code, exitWell, out+errs, `{"`)
}

func TestEachCommandExplainsItself(t *testing.T) {
	t.Parallel()
	for _, cmd := range (&call{}).root().Commands() {
		if cmd.Short == "" {
			t.Errorf("%s has no short text", cmd.Name())
		}
		names := [][]string{{cmd.Name()}}
		for _, sub := range cmd.Commands() {
			names = append(names, []string{cmd.Name(), sub.Name()})
		}
		for _, name := range names {
			code, out, errs := runs(t, "", append([]string{"help"}, name...)...)
			if wants(t, code, exitWell, out, "Usage: eventstores "+strings.Join(name, " ")); errs != "" {
				t.Errorf("%q: it prints %q", name, errs)
			}
			if _, flagged, _ := runs(t, "", append(name, "-h")...); flagged != out && cmd.Name() != "help" {
				t.Errorf("%q: -h says\n%s, help says\n%s", name, flagged, out)
			}
		}
	}
	code, _, errs := runs(t, "", "help", "feed", "nosuch")
	wants(t, code, exitUsage, errs, `eventstores help: unknown command "nosuch"`)
	code, _, errs = runs(t, "", "help", "p@ss:word")
	if wants(t, code, exitUsage, errs, "eventstores help: unknown command\n"); strings.Contains(errs, "p@ss") {
		t.Errorf("it prints what may be a password: %s", errs)
	}
	code, _, errs = runs(t, "", "verfy")
	wants(t, code, exitUsage, errs, `unknown command "verfy"; did you mean verify?`)
}

func TestShellsCompleteCommandsAndFlags(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, out, errs := runs(t, "", "completion", shell)
		if wants(t, code, exitWell, out, "eventstores", "__complete"); errs != "" {
			t.Errorf("%s: %s", shell, errs)
		}
	}
	code, out, _ := runs(t, "", "__complete", "feed", "")
	wants(t, code, exitWell, out, "import\t", "status\t", "verify\t")
	code, out, _ = runs(t, "", "__complete", "verify", "--")
	wants(t, code, exitWell, out, "--store", "--parallel")
	code, out, _ = runs(t, "", "__complete", "help", "")
	wants(t, code, exitWell, out, "copy\t")
	code, _, errs := runs(t, "", "completion", "tcsh")
	wants(t, code, exitUsage, errs, `unknown command "tcsh"`)
}

// brokenPipe fails as an output does that is not read any more.
type brokenPipe struct {
	said  bytes.Buffer
	after int // writes that succeed
	err   error
}

func (p *brokenPipe) Write(b []byte) (int, error) {
	if p.after--; p.after < 0 {
		return 0, p.err
	}
	return p.said.Write(b)
}

func TestAnOutputThatIsNotReadAnyMoreEndsACommandQuietly(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 1, "1", "2")
	for _, c := range []struct {
		err  error
		code int
		says string
	}{{syscall.EPIPE, exitPipe, ""}, {syscall.ENOSPC, exitNot, "eventstores verify: no space left on device"}} {
		var errs bytes.Buffer
		out := &brokenPipe{err: c.err}
		code := run(context.Background(), []string{"verify", "--parallel", "1", "--store", "sqlite:" + file, "account:1", "account:2"}, nil, out, &errs)
		if said := strings.TrimSpace(errs.String()); code != c.code || !strings.Contains(said, c.says) || errors.Is(c.err, syscall.EPIPE) && said != "" {
			t.Errorf("%v: exit code %d, and it says %q", c.err, code, said)
		}
	}
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"completion", "bash"}, nil, &brokenPipe{err: syscall.EPIPE}, &errs); code != exitPipe || errs.Len() > 0 {
		t.Errorf("a script: exit code %d, and it says %q", code, &errs)
	}
}
