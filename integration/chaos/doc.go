// Package chaos tests the event store with real programs that die. Several writer processes, each
// with its own sidecar, append to streams of one Redis or PostgreSQL and read them. Meanwhile the
// test kills sidecars, writers and the store. It stops writers for longer than their sessions last,
// and cuts, silences and delays connections. Then a fresh process reads everything, and the test
// compares it with what the writers were told.
//
//	make chaos DURATION=10m
//
// runs this long on each store, and APPENDS=100000 runs until that many appends are acknowledged.
// Without flags, as in make test, a run ends after enough appends and enough faults. It ends with
// one line per store:
//
//	chaos store=state.redis appends acked=… unknown=… faults=… lost=0 torn=0 doubled=0 linearizable=true …
//
// A second run has a feed. Its writers close and delete streams as well, and one of them sometimes
// writes without the feed. Two indexers make the log, and three followers share a subscription. All
// of them are killed, stopped and cut off. Then the test compares the streams, the log, the
// catalogue, and what the followers got:
//
//	feed state.redis committed=… logged=… delivered=… redelivered=… faults=… missed=0 disordered=0 …
//
// A third run is about what services make of a feed. Tellers move money between the accounts of a
// bank. Keepers share a projection and a publication, and movers a process that makes transfers.
// All of them are killed, stopped and cut off. Then the test compares the streams, the read model,
// the messages that the broker has, and the money:
//
//	models state.redis transfers=… completed=… returned=… held=… … wrong=0 money=conserved …
//
// A failure is printed with the seed, the faults and the history of the stream. The seed decides
// which faults come and what the writers do. The machine decides when things happen, so a seed does
// not replay a run exactly. The simulation of the core does that.
package chaos
