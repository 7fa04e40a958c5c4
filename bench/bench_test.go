package bench

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	casesFlag  = flag.String("cases", "", "cases to measure, separated by commas; all if empty")
	storesFlag = flag.String("stores", "", "stores to measure on, separated by commas; all if empty")
	roundsFlag = flag.Int("rounds", 0, "rounds of each comparison; 0 means as many as -time allows")
	timeFlag   = flag.Duration("time", 4*time.Second, "how long the rounds of each comparison may take together")
	writeFlag  = flag.Bool("write", false, "write the results of a full run into "+document+" and "+picture)
)

// BenchmarkAll measures everything once. `make bench` runs it.
func BenchmarkAll(b *testing.B) {
	p := plan{rounds: *roundsFlag, time: *timeFlag}
	cases, stores := chosen(b, "case", *casesFlag, caseNames()), chosen(b, "store", *storesFlag, kindNames())
	if *writeFlag && (*casesFlag != "" || *storesFlag != "" || *roundsFlag != 0) {
		b.Fatal("WRITE=1 needs a full run: leave out CASES, STORES and ROUNDS")
	}
	fmt.Println() // the testing package has started a line
	b.ReportMetric(0, "ns/op")
	began := time.Now()
	r := measure(b, cases, stores, full, p)
	r.took = time.Since(began)
	fmt.Printf("\n%s", r.table())
	if *writeFlag {
		r.write(b)
		fmt.Printf("\nwritten: %s, %s\n", document, picture)
	}
}

const memoryCase = "memory"

func caseNames() []string {
	var names []string
	for _, c := range comparisons {
		if !slices.Contains(names, c.name) {
			names = append(names, c.name)
		}
	}
	return append(names, memoryCase, idleCase)
}

func kindNames() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// chosen returns the names that a flag lists, or all names if the flag is empty. An unknown name
// fails the test.
func chosen(t testing.TB, what, flag string, all []string) []string {
	t.Helper()
	if flag == "" {
		return all
	}
	names := strings.Split(flag, ",")
	for _, name := range names {
		if !slices.Contains(all, name) {
			t.Fatalf("unknown %s %q: choose from %s", what, name, strings.Join(all, ", "))
		}
	}
	return names
}

// scope is a part of a test or benchmark. Its cleanups run when the part ends.
type scope struct {
	testing.TB
	undo []func()
}

func (s *scope) Cleanup(f func()) { s.undo = append(s.undo, f) }

// within runs f in a new scope.
func within(t testing.TB, f func(testing.TB)) {
	s := &scope{TB: t}
	defer func() {
		for _, undo := range slices.Backward(s.undo) {
			undo()
		}
	}()
	f(s)
}

// measure runs the cases on the stores. It prints each row as soon as it is measured.
func measure(t testing.TB, cases, stores []string, z sizes, p plan) (r report) {
	if slices.Contains(cases, idleCase) {
		idle := startIdlers(t, z)
		defer func() {
			r.idle = must(idle.measure(z))(t)
			for _, use := range r.idle {
				fmt.Println(use.row())
			}
		}()
	}
	for _, k := range kinds {
		if slices.Contains(stores, k.name) {
			within(t, func(t testing.TB) { r.on(t, k, cases, z, p) })
		}
	}
	return r
}

// on measures the cases on one store and adds the results to the report.
func (r *report) on(t testing.TB, k kind, cases []string, z sizes, p plan) {
	next := k.start(t)
	for _, c := range comparisons {
		if !slices.Contains(cases, c.name) {
			continue
		}
		within(t, func(t testing.TB) {
			s := next(t)
			if c.only != nil && !c.only(s) {
				return
			}
			result := must(compare(t.Context(), c, newLab(t, s, z), p))(t)
			fmt.Println(result.row())
			r.results = append(r.results, result)
		})
	}
	within(t, func(t testing.TB) {
		s := next(t)
		for _, version := range s.versions {
			if !slices.Contains(r.versions, version) {
				r.versions = append(r.versions, version)
			}
		}
		if slices.Contains(cases, memoryCase) && hasMemoryOfItsOwn(s) {
			use := must(measureMemory(t.Context(), newLab(t, s, z)))(t)
			fmt.Println(use.row())
			r.memory = append(r.memory, use)
		}
	})
}
