// Package refusal tells from a server's words what became of a request that it answered with an error. Through a sidecar these words are
// all there is: Dapr puts most errors of a store into one gRPC code.
//
// They are matched as a server writes them, in places where no key can stand. A key has no blanks and no parentheses, but a stream may
// well be named READONLY.
package refusal

import "regexp"

// Kind is what a server's words say.
type Kind int

const (
	Unclear  Kind = iota // nothing is known of the words
	Denied               // the server did not carry the attempt out
	KeptOut              // as Denied, and it lets this client do nothing at all, until somebody changes that
	Passing              // the server was in the way of itself: the same again may well succeed
	NoAnswer             // the connection failed, not the server: it may have carried the attempt out
)

// of are the words of a server, in the order in which they are looked for.
var of = []struct {
	words *regexp.Regexp
	kind  Kind
}{
	// Redis, by what its Dapr component says last, when the write is made and only its replicas do not confirm it.
	{regexp.MustCompile(`replicas to acknowledge write`), Unclear},

	// Redis and what speaks its protocol: the code is the first word of an answer.
	{regexp.MustCompile(`(?:^|: )(?:NOAUTH|WRONGPASS|NOPERM) `), KeptOut},
	{regexp.MustCompile(`(?:^|: )(?:OOM|MISCONF|READONLY|NOREPLICAS|LOADING|MASTERDOWN|CLUSTERDOWN|NOSCRIPT) `), Denied},
	{regexp.MustCompile(`(?:^|: )(?:TRYAGAIN|BUSY) `), Passing},
	{regexp.MustCompile(`(?:^|: )ERR max number of clients reached`), Denied},

	// PostgreSQL and what speaks its protocol, by SQLSTATE: invalid authorization (28…, 42501), no such database (3D000).
	{regexp.MustCompile(`\(SQLSTATE (?:28...|42501|3D000)\)`), KeptOut},
	// Out of resources (53…), program limits (54…), data that does not fit (22…), constraints (23…), a table that is not there (42P01), a
	// transaction that may not write (25006), a lock that was not to be had (55P03), a server that only starts (57P03).
	{regexp.MustCompile(`\(SQLSTATE (?:53...|54...|22...|23...|42P01|25006|55P03|57P03)\)`), Denied},
	// Serialization failures and deadlocks. 40003 is not among them: it says that the outcome is not known.
	{regexp.MustCompile(`\(SQLSTATE (?:40001|40P01)\)`), Passing},

	// MySQL and MariaDB, by number, as Go's driver writes it with and without a SQLSTATE: access denied, no such database, host blocked.
	{regexp.MustCompile(`Error (?:1044|1045|1049|1129|1130|1142|1143|1227|1698|3118|4151)(?: \(|: )`), KeptOut},
	// Disk full, table full, out of memory, too many connections, packet too large, read-only in its ways, data too long, no such table.
	{regexp.MustCompile(`Error (?:1021|1037|1038|1040|1041|1114|1146|1153|1197|1203|1226|1290|1366|1406|1792|1836)(?: \(|: )`), Denied},
	{regexp.MustCompile(`Error (?:1205|1213)(?: \(|: )`), Passing},

	// SQLite, by its words and their number. A snapshot that is too old to write on (517) goes with another try.
	{regexp.MustCompile(`database is locked \(517\)`), Passing},
	{regexp.MustCompile(`(?:database or disk is full \(13\)|attempt to write a readonly database \(\d+\)|database is locked \(\d+\)|database table is locked|` +
		`unable to open database file|file is not a database \(26\)|string or blob too big \(18\))`), Denied},

	// Connections, by the words of Go and of its drivers.
	{regexp.MustCompile(`(?i)connection refused|connection reset|broken pipe|unexpected EOF|: EOF|^EOF|i/o timeout|no such host|network is unreachable|no route to host|` +
		`context deadline exceeded|context canceled|use of closed|connection pool timeout|conn closed|failed to connect|unexpectedly closed|\(SQLSTATE (?:08...|57P01|57P02)\)`), NoAnswer},
}

// Of says what the text of an error by a Dapr component says.
func Of(text string) Kind {
	for _, w := range of {
		if w.words.MatchString(text) {
			return w.kind
		}
	}
	return Unclear
}
