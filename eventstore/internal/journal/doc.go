// Package journal holds the data of a feed and their stored form: the entries of journals, the
// tickets that heads and events carry, and how far the log has taken over the journals. It sends
// nothing. Package eventstore writes journals, and package feed makes the log of them.
package journal
