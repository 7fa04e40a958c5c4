// Package bench measures the event store over real sidecars and stores, in turns with the fewest requests that could carry the same bytes
// (the floor), and with what a Go user would pick instead. `make bench` runs it; docs/benchmarks.md has the results
// of a full run, and how it measures. An ordinary go test only checks that every case runs and that both sides do the same.
package bench
