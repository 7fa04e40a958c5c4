// Package console shows an event store in a browser: its streams and their events, what happened
// last anywhere, everything of one correlation, and who follows the feed.
//
//	handler, err := console.New(all, console.WithPrefix("/console"))
//	mux.Handle("/console/", authenticated(handler))
//
// The server renders the pages, and they work without script. A small script adds live updates. The
// pages load nothing from other sites.
//
// The pages show payloads and metadata as they are stored. Whoever can reach the handler can read
// the whole store, so put it behind the authentication of the service, or use [WithToken]. It
// changes nothing, unless [WithChanges] lets people retry and skip what is parked.
//
// The command eventstores console serves the same pages.
//
// # Costs
//
// A page of a list or of a timeline takes a few requests, however many streams and events there
// are. A search by prefix, and the number of streams of each type, read the catalogue: one request
// for every 4,000 streams. The console remembers how far it has counted. A correlation reads a part
// of the feed, at most 50,000 events for each page. Each live page reads the feed on its own.
//
// # Examples
//
//   - example_test.go: a console in a service, with the state of an aggregate at any version
package console
