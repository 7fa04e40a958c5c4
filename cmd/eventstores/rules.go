package main

import (
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/internal/statekind"
)

// check is what can be said of components by their files alone.
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
		found = append(found, all[0].at(all[0].line, warning, "there is no state component beside it, which the event store needs"))
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
		say(c.line, refused, "it %s; choose another store, as state.postgresql or state.redis", why)
	case c.kind == "state.in-memory":
		say(c.line, hint, "history ends with the sidecar: for trying things out only")
	case c.kind == "state.mysql":
		say(c.line, hint, "the database must be created with COLLATE utf8mb4_bin: by default names of streams that differ only in case are one")
	}
	if p, ok := c.properties["ttlinseconds"]; ok {
		if n, err := strconv.ParseInt(p.value, 10, 64); err != nil || n > 0 {
			say(p.line, warning, "ttlInSeconds lets history expire: take it away")
		}
	}
	if p, ok := c.properties["primaryencryptionkey"]; ok {
		say(p.line, warning, "the sidecar damages values that it encrypts in a transaction: make the adapter with sidecar.WithoutTransactions")
	}
	return found
}

// prefixOf is what Dapr puts before a component's keys, and whether that is the same for all apps with this file.
func prefixOf(c component) (prefix string, shared bool) {
	strategy := "appid" // Dapr's default
	if p, ok := c.properties["keyprefix"]; ok {
		strategy = strings.ToLower(p.value)
	}
	switch strategy {
	case "appid":
		return "", false
	case "namespace":
		return strategy, !c.is("state") // to a lock component it is a word like others
	case "name":
		return c.name, true
	case "none":
		return "", true
	}
	return strategy, true
}

// shownPrefix is prefixOf as it may be printed.
func shownPrefix(c component) string {
	if p := c.properties["keyprefix"]; p.variable != "" {
		return p.shown()
	}
	prefix, _ := prefixOf(c)
	return prefix
}

// keyPrefixLine is where a component says its prefix, or where it begins.
func keyPrefixLine(c component) int {
	if p, ok := c.properties["keyprefix"]; ok {
		return p.line
	}
	return c.line
}

// checkLocks looks for apps that would share streams and not the locks on them.
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
					"its keys begin with the app id and those of %s do not: apps that share streams would not share the locks, so that sessions of two hold one stream at a time; set the same keyPrefix in both", state.name))
			case !shared && lockShared:
				found = append(found, lock.at(keyPrefixLine(lock), warning,
					"its keys do not begin with the app id and those of %s do: apps wait for each other over streams that they do not share; set the same keyPrefix in both", state.name))
			case shared:
				at := place{state.kind, serverOf(state), prefix}
				other, known := users[at]
				if otherPrefix, _ := prefixOf(other.lock); known && (otherPrefix != lockPrefix || serverOf(other.lock) != serverOf(lock)) {
					found = append(found, lock.at(keyPrefixLine(lock), warning,
						"%s has the streams of %s in %s, and another lock than %s there (%q against %q): use the same lock, with the same keyPrefix and name, in both",
						state.name, other.state.name, other.state.file, other.lock.name, shownPrefix(lock), shownPrefix(other.lock)))
				}
				users[at] = user{state, lock}
			}
		}
	}
	return found
}

// serverOf is where a component keeps what it keeps, as far as its file says.
func serverOf(c component) string {
	for _, name := range [...]string{"redishost", "connectionstring", "host", "url"} {
		if p, ok := c.properties[name]; ok {
			return p.value
		}
	}
	return ""
}
