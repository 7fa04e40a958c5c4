// Package refusal classifies the error text of a state store's server. Through a sidecar the text
// is the only information, because Dapr gives most errors of a store the same gRPC code.
//
// The patterns match the exact words of a server, in places where no key can occur. A key has no
// blanks and no parentheses, but a stream may well be named READONLY.
package refusal

import "regexp"

// Kind says what a server's words mean for the request.
type Kind int

const (
	Unclear  Kind = iota // the words are not known
	Denied               // the server did not execute the request
	KeptOut              // as Denied, and the server refuses all requests of this client until an operator intervenes
	Passing              // the server had a temporary conflict: the same request may succeed later
	NoAnswer             // the connection failed, not the server: the server may have executed the request
)

// of lists the words of servers, in the order in which Of looks for them.
var of = []struct {
	words *regexp.Regexp
	kind  Kind
}{
	// Redis: the last words of Dapr's component when the write is done but its replicas do not
	// confirm it.
	{regexp.MustCompile(`replicas to acknowledge write`), Unclear},

	// Redis and servers with its protocol: the code is the first word of an answer.
	{regexp.MustCompile(`(?:^|: )(?:NOAUTH|WRONGPASS|NOPERM) `), KeptOut},
	{regexp.MustCompile(`(?:^|: )(?:OOM|MISCONF|READONLY|NOREPLICAS|LOADING|MASTERDOWN|CLUSTERDOWN|NOSCRIPT) `), Denied},
	{regexp.MustCompile(`(?:^|: )(?:TRYAGAIN|BUSY) `), Passing},
	{regexp.MustCompile(`(?:^|: )ERR max number of clients reached`), Denied},

	// PostgreSQL and servers with its protocol, by SQLSTATE: invalid authorization (28…, 42501), no
	// such database (3D000).
	{regexp.MustCompile(`\(SQLSTATE (?:28...|42501|3D000)\)`), KeptOut},
	// Out of resources (53…), program limits (54…), invalid data (22…), constraints (23…), a
	// missing table (42P01), a read-only transaction (25006), an unavailable lock (55P03), a
	// starting server (57P03).
	{regexp.MustCompile(`\(SQLSTATE (?:53...|54...|22...|23...|42P01|25006|55P03|57P03)\)`), Denied},
	// Serialization failures and deadlocks. 40003 is not in the list, because it says that the
	// outcome is unknown.
	{regexp.MustCompile(`\(SQLSTATE (?:40001|40P01)\)`), Passing},

	// MySQL and MariaDB, by number, as Go's driver writes it with and without a SQLSTATE: access
	// denied, no such database, host blocked.
	{regexp.MustCompile(`Error (?:1044|1045|1049|1129|1130|1142|1143|1227|1698|3118|4151)(?: \(|: )`), KeptOut},
	// Disk full, table full, out of memory, too many connections, packet too large, read-only, data
	// too long, no such table.
	{regexp.MustCompile(`Error (?:1021|1037|1038|1040|1041|1114|1146|1153|1197|1203|1226|1290|1366|1406|1792|1836)(?: \(|: )`), Denied},
	// Lock wait timeouts and deadlocks. A deadlock on the counter of the rows has a number of its
	// own (1467).
	{regexp.MustCompile(`Error (?:1205|1213|1467)(?: \(|: )`), Passing},

	// SQLite, by its words and their number. A retry succeeds if a snapshot is too old for a write
	// (517).
	{regexp.MustCompile(`database is locked \(517\)`), Passing},
	{regexp.MustCompile(`(?:database or disk is full \(13\)|attempt to write a readonly database \(\d+\)|database is locked \(\d+\)|database table is locked|` +
		`unable to open database file|file is not a database \(26\)|string or blob too big \(18\))`), Denied},

	// Connections, by the words of Go and its drivers.
	{regexp.MustCompile(`(?i)connection refused|connection reset|broken pipe|unexpected EOF|: EOF|^EOF|i/o timeout|no such host|network is unreachable|no route to host|` +
		`context deadline exceeded|context canceled|use of closed|connection pool timeout|conn closed|failed to connect|unexpectedly closed|\(SQLSTATE (?:08...|57P01|57P02)\)`), NoAnswer},
}

// Of classifies the error text of a Dapr component.
func Of(text string) Kind {
	for _, w := range of {
		if w.words.MatchString(text) {
			return w.kind
		}
	}
	return Unclear
}
