// Package chaos is the test with real parts that die: several writer processes, each with a sidecar of its own, append to
// streams of one Redis or PostgreSQL and read them, while sidecars, writers and the store are killed,
// writers are stopped for longer than their sessions last, and connections are cut, silenced and
// delayed. Then a fresh process reads everything, and what the writers were told is compared with what there is.
//
//	make chaos DURATION=10m
//
// on each store, or until APPENDS=100000 are acknowledged. Without flags, as in make test, a run ends when enough was
// appended and enough went wrong. It ends with one line per store:
//
//	chaos store=state.redis appends acked=… unknown=… faults=… lost=0 torn=0 doubled=0 linearizable=true …
//
// What is wrong is printed with the seed, the faults and the history of the stream that it is about. The seed decides which
// faults come and what the writers do; when things happen the machine decides, so that a seed does not replay exactly.
// (That is what the simulation of the core is for.)
package chaos
