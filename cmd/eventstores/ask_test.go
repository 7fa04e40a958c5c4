package main

import (
	"bufio"
	"cmp"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// server answers as a Redis does that evicts and does not persist, and notes what it is sent.
type server struct {
	addr string
	mu   sync.Mutex
	got  strings.Builder
}

func (s *server) received() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

func newServer(t *testing.T) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: listener.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer connection.Close()
				s.serve(connection)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return s
}

// serve answers what it is asked, by the last word of each request.
func (s *server) serve(connection net.Conn) {
	in := bufio.NewReader(connection)
	line := func() string {
		text, _ := in.ReadString('\n')
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got.WriteString(text)
		return strings.TrimSpace(text)
	}
	for {
		words := 0
		if _, err := fmt.Sscanf(line(), "*%d", &words); err != nil {
			return
		}
		var first, last string
		for range words {
			line() // its length
			last = line()
			first = cmp.Or(first, strings.ToUpper(last))
		}
		answer := "+OK\r\n"
		if first == "HELLO" { // an older server
			answer = "-ERR unknown command\r\n"
		}
		for setting, value := range map[string]string{"maxmemory-policy": "allkeys-lru", "appendonly": "no", "appendfsync": "\x1b[2J\n::error::"} {
			if last == setting {
				answer = fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(setting), setting, len(value), value)
			}
		}
		if _, err := fmt.Fprint(connection, answer); err != nil {
			return
		}
	}
}

// fromEnvironment is an entry of a component file that takes its value from a variable.
func fromEnvironment(name, variable string) string {
	return fmt.Sprintf("  - name: %s\n    envRef: %s\n", name, variable)
}

func TestServersAreAskedOnlyWhereTheUserNamesThem(t *testing.T) {
	s := newServer(t)
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BANK_PASSWORD", "topsecret")
	t.Setenv("BANK_USER", "topuser")
	t.Setenv("BANK_HOST", s.addr)
	content := file("s", "state.redis", "redisHost", s.addr) + fromEnvironment("redisPassword", "BANK_PASSWORD") + fromEnvironment("redisUsername", "BANK_USER")
	for name, c := range map[string]struct {
		file  string
		flags []string
		asked bool
		says  string
	}{
		"nobody":                          {content, nil, false, "was not asked; use --ask " + s.addr},
		"nobody, and no reminder":         {content, []string{"-offline", "-ask", host}, false, "0 hints"},
		"another":                         {content, []string{"-ask", "localhost"}, false, "was not asked; use --ask " + s.addr},
		"another port":                    {content, []string{"-ask", host + ":1"}, false, "was not asked; use --ask"},
		"the beginning of its name":       {content, []string{"-ask", "127.0.0"}, false, "was not asked; use --ask"},
		"the host":                        {content, []string{"-ask", host}, true, "maxmemory-policy is allkeys-lru"},
		"the host with its port":          {content, []string{"-ask", "other:1,127.0.0.1:" + port}, true, "the server " + s.addr + ": maxmemory-policy is allkeys-lru"},
		"several, one after the other":    {content, []string{"-ask", "other", "-ask", s.addr}, true, "appendonly is no"},
		"one of two":                      {strings.Replace(content, s.addr, s.addr+",evil.example:6379", 1), []string{"-ask", host}, false, "was not asked; use --ask"},
		"one that the environment names":  {file("s", "state.redis") + fromEnvironment("redisHost", "BANK_HOST"), []string{"-ask", host}, true, "the server $BANK_HOST: maxmemory-policy"},
		"none that the environment names": {file("s", "state.redis") + fromEnvironment("redisHost", "BANK_HOST"), nil, false, "the server $BANK_HOST was not asked; use --ask <its host>"},
		"a secret as the host":            {file("s", "state.redis") + fromEnvironment("redisHost", "BANK_PASSWORD"), []string{"-ask", host}, false, "the server $BANK_PASSWORD was not asked"},
		"a URL as the host":               {file("s", "state.redis", "redisHost", "redis://u:topsecret@h:1"), []string{"-ask", "h"}, false, "the server that it names was not asked"},
		"a port of its own":               {file("s", "state.redis", "redisHost", host, "redisPort", port), []string{"-ask", s.addr}, true, "allkeys-lru"},
		"a secret as another setting":     {content + fromEnvironment("redisDB", "BANK_PASSWORD") + fromEnvironment("dialTimeout", "BANK_PASSWORD"), []string{"-ask", host}, true, "allkeys-lru"},
		"a secret as a prefix":            {file("s", "state.redis") + fromEnvironment("keyPrefix", "BANK_PASSWORD") + "---\n" + file("l", "lock.redis") + fromEnvironment("keyPrefix", "BANK_PASSWORD") + "---\n" + file("m", "lock.redis", "redisHost", "h:1") + fromEnvironment("keyPrefix", "BANK_PASSWORD"), nil, false, `but not its lock l ("$BANK_PASSWORD" and "$BANK_PASSWORD")`},
		"a secret as a time to live":      {file("s", "state.redis") + fromEnvironment("ttlInSeconds", "BANK_PASSWORD"), nil, false, "ttlInSeconds makes history expire"},
		"one that would lead to another":  {content + "  - name: failover\n    value: true\n  - name: sentinelMasterName\n    value: m\n  - name: redisType\n    value: cluster\n", []string{"-ask", host}, true, "allkeys-lru"},
		"the name in other letters":       {strings.Replace(content, "redisHost", "REDISHOST", 1), []string{"-ask", host}, true, "allkeys-lru"},
	} {
		before := len(s.received())
		dir := folder(t, c.file)
		code, out, errs := runs(t, "", append(append([]string{"check"}, c.flags...), dir)...)
		wants(t, code, exitWell, out+errs, c.says)
		got := s.received()[before:]
		if (got != "") != c.asked {
			t.Errorf("%s: the server got %q", name, got)
		}
		if strings.Contains(out+errs, "topsecret") || strings.Contains(out+errs, "topuser") {
			t.Errorf("%s: it prints what comes from the environment:\n%s%s", name, out, errs)
		}
		if c.asked && strings.Contains(c.file, "BANK_PASSWORD") && !strings.Contains(got, "topsecret") {
			t.Errorf("%s: the password is not used: %q", name, got)
		}
		isHarmless(t, out)
		isHarmless(t, errs)
		if t.Failed() {
			t.Fatalf("it was: %s", name)
		}
	}
}

func TestAnErrorOfAFileDoesNotQuoteItsValues(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		"kind: Component\nmetadata: topsecret\nspec: {type: state.redis}\n",
		"kind: Component\nspec:\n  type: state.redis\n  metadata: topsecret\n",
		"kind: Component\nspec:\n  type: state.redis\n  metadata:\n  - topsecret\n",
		"kind: Component\nspec:\n  type: state.redis\n  metadata:\n  - {name: a, envRef: [topsecret]}\n",
		"kind: [topsecret]\n",
	} {
		code, out, errs := runs(t, "", "check", folder(t, content))
		if wants(t, code, exitUsage, out+errs, "0.yaml"); strings.Contains(out+errs, "topsecret") {
			t.Errorf("%q: it says %s%s", content, out, errs)
		}
	}
}
