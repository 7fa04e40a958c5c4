package main

import (
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/internal/statekind"
)

// check returns what the files alone say about components.
func check(all []component) []finding {
	var found []finding
	states := 0
	for _, c := range all {
		if c.is("state") {
			states++
			found = append(found, checkState(c)...)
		}
	}
	if states == 0 {
		found = append(found, all[0].at(all[0].line, warning, "the folder has no state component, which the event store needs"))
	}
	return append(found, checkLocks(all)...)
}

func checkState(c component) (found []finding) {
	say := func(line int, l level, format string, args ...any) {
		found = append(found, c.at(line, l, format, args...))
	}
	why := statekind.Unfit(c.kind)
	switch {
	case why != "":
		say(c.line, refused, "it %s; choose another store, such as state.postgresql or state.redis", why)
	case c.kind == "state.in-memory":
		say(c.line, hint, "history ends with the sidecar; use it only for experiments")
	case c.kind == "state.mysql":
		say(c.line, hint, "create the database with COLLATE utf8mb4_bin: by default, streams whose names differ only in case are one")
	}
	if p, ok := c.properties["ttlinseconds"]; ok {
		if n, err := strconv.ParseInt(p.value, 10, 64); err != nil || n > 0 {
			say(p.line, warning, "ttlInSeconds makes history expire; remove it")
		}
	}
	if p, ok := c.properties["primaryencryptionkey"]; ok {
		say(p.line, warning, "the sidecar damages values that it encrypts in a transaction; create the adapter with sidecar.WithoutTransactions")
	}
	return found
}

// prefixOf returns what Dapr puts before a component's keys, and whether all apps with this file
// have the same prefix.
func prefixOf(c component) (prefix string, shared bool) {
	strategy := "appid" // Dapr's default
	if p, ok := c.properties["keyprefix"]; ok {
		strategy = strings.ToLower(p.value)
	}
	switch strategy {
	case "appid":
		return "", false
	case "namespace":
		return strategy, !c.is("state") // a lock component treats it as any other word
	case "name":
		return c.name, true
	case "none":
		return "", true
	}
	return strategy, true
}

// shownPrefix returns prefixOf for printing.
func shownPrefix(c component) string {
	if p := c.properties["keyprefix"]; p.variable != "" {
		return p.shown()
	}
	prefix, _ := prefixOf(c)
	return prefix
}

// keyPrefixLine returns the line of a component's keyPrefix, or else the line where the component
// begins.
func keyPrefixLine(c component) int {
	if p, ok := c.properties["keyprefix"]; ok {
		return p.line
	}
	return c.line
}

// checkLocks looks for apps that would share streams but not the locks on them.
func checkLocks(all []component) (found []finding) {
	type place struct{ kind, server, prefix string }
	type user struct{ state, lock component }
	users := map[place]user{}
	for _, lock := range all {
		if !lock.is("lock") {
			continue
		}
		lockPrefix, lockShared := prefixOf(lock)
		for _, state := range all {
			if !state.is("state") || state.folder != lock.folder {
				continue
			}
			prefix, shared := prefixOf(state)
			switch {
			case shared && !lockShared:
				found = append(found, lock.at(keyPrefixLine(lock), warning,
					"its keys begin with the app id but those of %s do not: apps would share streams but not their locks, so that two sessions can hold one stream at the same time; set the same keyPrefix in both", state.name))
			case !shared && lockShared:
				found = append(found, lock.at(keyPrefixLine(lock), warning,
					"its keys do not begin with the app id but those of %s do: apps would wait for each other although they share no streams; set the same keyPrefix in both", state.name))
			case shared:
				at := place{state.kind, serverOf(state), prefix}
				other, known := users[at]
				if otherPrefix, _ := prefixOf(other.lock); known && (otherPrefix != lockPrefix || serverOf(other.lock) != serverOf(lock)) {
					found = append(found, lock.at(keyPrefixLine(lock), warning,
						"%s shares the streams of %s in %s but not its lock %s (%q and %q): use the same lock in both, with the same keyPrefix and name",
						state.name, other.state.name, other.state.file, other.lock.name, shownPrefix(lock), shownPrefix(other.lock)))
				}
				users[at] = user{state, lock}
			}
		}
	}
	return found
}

// serverOf returns the server of a component, as far as its file names it.
func serverOf(c component) string {
	for _, name := range [...]string{"redishost", "connectionstring", "host", "url"} {
		if p, ok := c.properties[name]; ok {
			return p.value
		}
	}
	return ""
}
