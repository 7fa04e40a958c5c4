package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/hexalith/eventstores-go/internal/redisserver"
)

// hosts are the servers that the user allows to be asked. A component file is not trusted, because
// anyone may have written it.
type hosts []string

// String implements [pflag.Value].
func (h *hosts) String() string { return strings.Join(*h, ",") }

// Type implements [pflag.Value].
func (h *hosts) Type() string { return "host" }

// Set implements [pflag.Value]. It accepts hosts with or without a port, separated by commas.
func (h *hosts) Set(value string) error {
	for host := range strings.SplitSeq(value, ",") {
		if !isHost(host) {
			return errors.New("it must be a host or host:port")
		}
		*h = append(*h, strings.ToLower(host))
	}
	return nil
}

// have reports whether the user allows all these addresses.
func (h hosts) have(addresses []string) bool {
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil || !slices.Contains(h, strings.ToLower(address)) && !slices.Contains(h, strings.ToLower(host)) {
			return false
		}
	}
	return len(addresses) > 0
}

// redisPort is the default port of Redis.
const redisPort = "6379"

// addresses returns the servers that a Redis component names, as host:port. It returns none if one
// of them cannot be a server.
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

// The properties that are sent to a server. From the environment only sentFromEnvs are used,
// because an error about any other property may quote its value.
var (
	sent         = []string{"redisusername", "redispassword", "redisdb", "enabletls", "insecureskiptlsverify", "clientcert", "clientkey", "redismaxretries", "redisminretryinterval", "redismaxretryinterval", "dialtimeout", "readtimeout", "writetimeout"}
	sentFromEnvs = []string{"redisusername", "redispassword", "clientcert", "clientkey"}
)

const needs = "it needs maxmemory-policy noeviction, appendonly yes and appendfsync always"

// askRedis asks the servers of a state component if it is a Redis and the user allows all of them.
func askRedis(ctx context.Context, c component, may hosts) (found []finding) {
	if c.kind != "state.redis" {
		return nil
	}
	for _, p := range c.properties {
		if p.secret && slices.Contains(append(sent, "redishost", "redisport"), strings.ToLower(p.name)) {
			return []finding{c.at(p.line, hint, "%s is in a secret store, so the command cannot ask the server: %s", p.name, needs)}
		}
	}
	host := c.properties["redishost"]
	all := addresses(c)
	shown, ask := host.shown(), host.shown()
	switch {
	case host.variable != "":
		ask = "<its host>"
	case len(all) == 0:
		shown, ask = "that it names", "<its host>" // the value is no host: it may contain a password
	}
	if !may.have(all) {
		return []finding{c.at(host.line, hint, "the server %s was not asked; use --ask %s: %s", shown, ask, needs)}
	}
	properties := map[string]string{"redisType": "node"} // a server that is asked must not refer to another
	for name, p := range c.properties {
		if slices.Contains(sent, name) && (p.variable == "" || slices.Contains(sentFromEnvs, name)) {
			properties[name] = p.value
		}
	}
	for _, address := range all {
		properties["redisHost"] = address
		settings, err := redisserver.Ask(ctx, properties)
		if err != nil {
			found = append(found, c.at(host.line, hint, "cannot ask the server %s (%v): %s", shown, err, needs))
			continue
		}
		for _, flaw := range settings.Flaws() {
			found = append(found, c.at(host.line, warning, "the server %s: %s", shown, flaw))
		}
	}
	return found
}
