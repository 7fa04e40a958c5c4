// Package integration holds the tests against real parts: Dapr sidecars, Redis, PostgreSQL. Package
// parts starts them.
package integration
