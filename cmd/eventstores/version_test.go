package main

import (
	"regexp"
	"testing"
)

func TestVersionPrintsOneLine(t *testing.T) {
	t.Parallel()
	code, out, errs := runs(t, "", "version")
	if code != 0 || errs != "" || !regexp.MustCompile(`^eventstores \S+(, commit .*)?, go1\.\S+ \w+/\w+\n$`).MatchString(out) {
		t.Errorf("exit code %d: %q, %q", code, out, errs)
	}
	code, out, errs = runs(t, "", "version", "hunter2")
	wants(t, code, 2, errs, "unexpected arguments")
	if out != "" {
		t.Errorf("it prints %q", out)
	}
}
