// Package integration tests the event store against real programs: Dapr sidecars, Redis and
// PostgreSQL. Package servers starts them.
package integration
