// Package eventtest helps to test what is built on the event store, without a sidecar: [NewProvider] is an event store in memory, [Given] tests
// decisions by the events that they are taken on and those that they lead to, all sent through the codec, and [Golden] holds that all that was ever stored
// still reads.
//
// # Examples
//
//   - example_test.go: scenarios, golden files, an event store in memory
package eventtest
