// Package stores runs the event store on every state store that can be started here. It uses real
// sidecars with the component files of this project. With WRITE=1 it writes the results into
// docs/stores.md. `make stores` runs it.
package stores
