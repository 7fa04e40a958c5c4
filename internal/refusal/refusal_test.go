package refusal_test

import (
	"testing"

	"github.com/hexalith/eventstores-go/internal/refusal"
)

const (
	saving   = "rpc error: code = Internal desc = failed saving state in state store statestore: "
	creating = saving + "failed to set key bank||{EventStores:account:1}:head: "
	aborted  = "rpc error: code = Aborted desc = failed saving state in state store statestore: possible etag mismatch. error from state store: "
	inTx     = "rpc error: code = Internal desc = error while executing state transaction: "
)

// The texts are what servers said to Dapr 1.18, or what their documentation has.
func TestWhatServersSay(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]refusal.Kind{
		creating + "OOM command not allowed when used memory > 'maxmemory'. script: d9, on @user_script:8.": refusal.Denied,
		aborted + "OOM command not allowed when used memory > 'maxmemory'. script: d9, on @user_script:8.":  refusal.Denied,
		"OOM command not allowed when used memory > 'maxmemory'.":                                           refusal.Denied,
		creating + "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to":        refusal.Denied,
		creating + "MISCONF Valkey is configured to save RDB snapshots":                                     refusal.Denied,
		aborted + "READONLY You can't write against a read only replica. script: d9":                        refusal.Denied,
		aborted + "NOREPLICAS Not enough good replicas to write. script: d9":                                refusal.Denied,
		creating + "LOADING Redis is loading the dataset in memory":                                         refusal.Denied,
		creating + "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":       refusal.Denied,
		creating + "CLUSTERDOWN The cluster is down":                                                        refusal.Denied,
		creating + "ERR max number of clients reached":                                                      refusal.Denied,
		creating + "NOAUTH Authentication required.":                                                        refusal.KeptOut,
		creating + "WRONGPASS invalid username-password pair or user is disabled.":                          refusal.KeptOut,
		creating + "NOPERM this user has no permissions to run the 'eval' command":                          refusal.KeptOut,
		creating + "TRYAGAIN Multiple keys request during rehashing of slot":                                refusal.Passing,
		creating + "BUSY Redis is busy running a script.":                                                   refusal.Passing,

		// The write was made, and then its replicas were asked for.
		saving + "redis waiting for 1 replicas to acknowledge write, err: LOADING Redis is loading the dataset in memory": refusal.Unclear,
		saving + "redis waiting for 1 replicas to acknowledge write, err: NOAUTH Authentication required.":                refusal.Unclear,

		// A name is no answer.
		saving + "failed to set key bank||{EventStores:account:READONLY}:idem:READONLY: EOF":                             refusal.NoAnswer,
		saving + "failed to set key bank||{OOM:NOAUTH:LOADING}:head: i/o timeout":                                        refusal.NoAnswer,
		saving + "failed to set key bank||{OOM:MISCONF:1}:idem:OOM: user_script:17: failed to set key {OOM:MISCONF:1}:1": refusal.Unclear,

		saving + "ERROR: cannot execute INSERT in a read-only transaction (SQLSTATE 25006)":                 refusal.Denied,
		inTx + `ERROR: could not extend file "base/5/16389": No space left on device (SQLSTATE 53100)`:      refusal.Denied,
		inTx + "FATAL: sorry, too many clients already (SQLSTATE 53300)":                                    refusal.Denied,
		inTx + "FATAL: the database system is starting up (SQLSTATE 57P03)":                                 refusal.Denied,
		inTx + "ERROR: permission denied for table state (SQLSTATE 42501)":                                  refusal.KeptOut,
		inTx + `FATAL: password authentication failed for user "events" (SQLSTATE 28P01)`:                   refusal.KeptOut,
		inTx + "ERROR: could not serialize access due to concurrent update (SQLSTATE 40001)":                refusal.Passing,
		inTx + "ERROR: deadlock detected (SQLSTATE 40P01)":                                                  refusal.Passing,
		inTx + "ERROR: the outcome of the statement is not known (SQLSTATE 40003)":                          refusal.Unclear,
		inTx + "FATAL: terminating connection due to administrator command (SQLSTATE 57P01)":                refusal.NoAnswer,
		saving + "Error 1153 (08S01): Got a packet bigger than 'max_allowed_packet' bytes":                  refusal.Denied,
		saving + "Error 1290 (HY000): The MariaDB server is running with the --read-only option":            refusal.Denied,
		saving + "Error 1836 (HY000): Running in read-only mode":                                            refusal.Denied,
		saving + "Error 1114 (HY000): The table 'state' is full":                                            refusal.Denied,
		saving + "Error 1040: Too many connections":                                                         refusal.Denied,
		saving + "Error 1045 (28000): Access denied for user 'events'@'localhost' (using password: YES)":    refusal.KeptOut,
		saving + "Error 1142 (42000): INSERT command denied to user 'events'@'localhost' for table `state`": refusal.KeptOut,
		saving + "Error 1213 (40001): Deadlock found when trying to get lock; try restarting transaction":   refusal.Passing,
		inTx + "Error 1467 (HY000): Failed to read auto-increment value from storage engine":                refusal.Passing,
		saving + "invalid connection":                                              refusal.Unclear,
		saving + "database or disk is full (13)":                                   refusal.Denied,
		saving + "attempt to write a readonly database (8)":                        refusal.Denied,
		inTx + "failed to begin transaction: database is locked (5) (SQLITE_BUSY)": refusal.Denied,
		saving + "database is locked (517)":                                        refusal.Passing,
		"dial tcp 127.0.0.1:6379: connect: connection refused":                     refusal.NoAnswer,
		"read tcp 127.0.0.1:50000->127.0.0.1:6379: i/o timeout":                    refusal.NoAnswer,
		"EOF": refusal.NoAnswer,
		aborted + "user_script:17: failed to set key {EventStores:account:1}:head": refusal.Unclear,
		"": refusal.Unclear,
	} {
		if got := refusal.Of(text); got != want {
			t.Errorf("of %q: %d, want %d", text, got, want)
		}
	}
}
