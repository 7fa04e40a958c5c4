// Package eventtest helps to test programs that use the event store, without a sidecar.
// [NewProvider] returns an event store in memory. [Given] tests decisions: which events they
// follow, and which events they return. All events go through the codec. [Golden] checks that
// everything that was ever stored can still be read.
//
// # Examples
//
//   - example_test.go: scenarios, golden files, an event store in memory
package eventtest
