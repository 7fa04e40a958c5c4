// Package stores runs the event store on every state store that can be started here, through a real sidecar with the component
// files of this project, and writes what came of it into docs/stores.md. `make stores` runs it.
package stores
