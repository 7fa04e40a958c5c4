// Package eventtest helps to test programs that use the event store, without a sidecar.
// [NewProvider] returns an event store in memory. [Given] tests decisions: which events they
// follow, and which events they return. [Projecting] and [Processing] test read models and
// processes in the same way, without a store. All events go through the codec. [Golden] checks that
// everything that was ever stored can still be read.
//
// # Examples
//
//   - example_test.go: scenarios, projections, processes, golden files, an event store in memory
package eventtest
