// Package bench measures the event store on real sidecars and stores. It compares the event store
// with the floor, which is the fewest requests that could carry the same bytes, and with other Go
// libraries.
//
// `make bench` runs the benchmarks. docs/benchmarks.md explains how they measure, and has the
// results of a full run. An ordinary go test only checks that every case runs and that its sides do
// the same work.
package bench
