// Package integration holds the tests against real programs: Dapr sidecars, Redis, PostgreSQL. Package
// servers starts them.
package integration
