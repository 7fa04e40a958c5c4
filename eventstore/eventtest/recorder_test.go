package eventtest_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// recorder is a testing.TB that records failures, for tests of failing tests.
type recorder struct {
	testing.TB
	failures []string
	logs     []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Failed() bool     { return len(r.failures) > 0 }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); runtime.Goexit() }
func (r *recorder) Fatal(args ...any)                 { r.Fatalf("%s", fmt.Sprint(args...)) }

// record runs a test to its end.
func record(test func(t testing.TB)) *recorder {
	r := &recorder{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			for _, f := range slices.Backward(r.cleanups) {
				f()
			}
		}()
		test(r)
	}()
	<-ended
	return r
}

// wantFailures checks that a test failed once for each text, and that each failure contains its
// text.
func (r *recorder) wantFailures(t *testing.T, says ...string) {
	t.Helper()
	if len(r.failures) != len(says) {
		t.Errorf("got %d failures, want %d:\n%s", len(r.failures), len(says), strings.Join(r.failures, "\n"))
		return
	}
	for i, failure := range r.failures {
		// cmp prints different kinds of spaces on purpose, so that no one relies on its output.
		if plain := strings.Join(strings.Fields(failure), " "); !strings.Contains(plain, says[i]) {
			t.Errorf("failure %d does not say %q:\n%s", i+1, says[i], plain)
		}
	}
}
