package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/hexalith/eventstores-go/internal/redisserver"
)

// hosts are the servers that may be asked: those that the user has named, for a component file may come from anybody.
type hosts []string

// String implements [flag.Value].
func (h *hosts) String() string { return strings.Join(*h, ",") }

// Set implements [flag.Value]: hosts with or without a port, with commas between.
func (h *hosts) Set(value string) error {
	for host := range strings.SplitSeq(value, ",") {
		if !isHost(host) {
			return errors.New("it is no host or host:port")
		}
		*h = append(*h, strings.ToLower(host))
	}
	return nil
}

// have reports whether all addresses are of servers that may be asked.
func (h hosts) have(addresses []string) bool {
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil || !slices.Contains(h, strings.ToLower(address)) && !slices.Contains(h, strings.ToLower(host)) {
			return false
		}
	}
	return len(addresses) > 0
}

// redisPort is where Redis listens unless something else is said.
const redisPort = "6379"

// addresses are the servers that a Redis component names, as host:port; none if one of them can be no server.
func addresses(c component) (all []string) {
	port := redisPort
	if p := c.properties["redisport"]; p.value != "" {
		port = p.value
	}
	for server := range strings.SplitSeq(c.properties["redishost"].value, ",") {
		server = strings.TrimSpace(server)
		if _, _, err := net.SplitHostPort(server); err != nil {
			server = net.JoinHostPort(strings.Trim(server, "[]"), port)
		}
		if !isHost(server) {
			return nil
		}
		all = append(all, server)
	}
	return all
}

// What is sent to a server that may be asked. Of what comes from the environment these alone: an error about anything
// else may quote its value.
var (
	sent         = []string{"redisusername", "redispassword", "redisdb", "enabletls", "insecureskiptlsverify", "clientcert", "clientkey", "redismaxretries", "redisminretryinterval", "redismaxretryinterval", "dialtimeout", "readtimeout", "writetimeout"}
	sentFromEnvs = []string{"redisusername", "redispassword", "clientcert", "clientkey"}
)

const needs = "it needs maxmemory-policy noeviction, appendonly yes and appendfsync always"

// askRedis asks the servers of a state component, if it is a Redis and the user has named all of them.
func askRedis(ctx context.Context, c component, may hosts) (found []finding) {
	if c.kind != "state.redis" {
		return nil
	}
	for _, p := range c.properties {
		if p.secret && slices.Contains(append(sent, "redishost", "redisport"), strings.ToLower(p.name)) {
			return []finding{c.at(p.line, hint, "%s is in a secret store, so the server can't be asked from here: %s", p.name, needs)}
		}
	}
	host := c.properties["redishost"]
	all := addresses(c)
	shown, ask := host.shown(), host.shown()
	switch {
	case host.variable != "":
		ask = "<its host>"
	case len(all) == 0:
		shown, ask = "that it names", "<its host>" // the value is no host: it may hold a password
	}
	if !may.have(all) {
		return []finding{c.at(host.line, hint, "the server %s can't be asked without -ask %s: %s", shown, ask, needs)}
	}
	properties := map[string]string{"redisType": "node"} // one that is asked leads to no other
	for name, p := range c.properties {
		if slices.Contains(sent, name) && (p.variable == "" || slices.Contains(sentFromEnvs, name)) {
			properties[name] = p.value
		}
	}
	for _, address := range all {
		properties["redisHost"] = address
		settings, err := redisserver.Ask(ctx, properties)
		if err != nil {
			found = append(found, c.at(host.line, hint, "the server %s can't be asked (%v): %s", shown, err, needs))
			continue
		}
		for _, flaw := range settings.Flaws() {
			found = append(found, c.at(host.line, warning, "the server %s: %s", shown, flaw))
		}
	}
	return found
}
