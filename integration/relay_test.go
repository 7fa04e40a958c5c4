package integration

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// relay is a proxy before a server. It passes everything on, except for answers that a test makes
// it lose.
type relay struct {
	addr string

	mu        sync.Mutex
	match     []byte        // what a matching request contains
	delivered int           // number of matching requests since lose was called
	losing    bool          // whether to lose the answer to the next of them
	hold      func()        // called before that request is passed on
	gaveUp    chan struct{} // closed when its sender has closed the connection
}

// startRelay starts a relay before a server. It runs until the test ends.
func startRelay(t *testing.T, server string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: listener.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			t.Cleanup(func() { _ = client.Close(); _ = to.Close() })
			c := &relayed{relay: r}
			all.Go(func() { c.requests(client, to) })
			all.Go(func() { c.answers(to, client) })
		}
	})
	t.Cleanup(func() { _ = listener.Close() })
	return r
}

// lose makes the relay lose the answer to the next request that contains match. The relay calls
// hold, if it is not nil, before it passes the request on. The returned channel is closed when the
// sender has given up on the answer.
func (r *relay) lose(match string, hold func()) (gaveUp <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.match, r.delivered, r.losing, r.hold, r.gaveUp = []byte(match), 0, true, hold, make(chan struct{})
	return r.gaveUp
}

// deliveries returns how many requests with the match of lose have come since.
func (r *relay) deliveries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delivered
}

// relayed is one connection through the relay.
type relayed struct {
	*relay
	silent bool // its answers are lost; protected by relay.mu
	gaveUp chan struct{}
}

func (c *relayed) requests(from, to net.Conn) {
	defer func() {
		_ = to.Close()
		if c.gaveUp != nil {
			close(c.gaveUp)
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if hold := c.look(buf[:n]); hold != nil {
			hold()
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// look notes a request. It returns the function to call before the request is passed on, or nil.
func (c *relayed) look(request []byte) (hold func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.match == nil || !bytes.Contains(request, c.match) {
		return nil
	}
	c.delivered++
	if !c.losing {
		return nil
	}
	c.losing, c.silent, c.gaveUp = false, true, c.relay.gaveUp
	return c.hold
}

func (c *relayed) answers(from, to net.Conn) {
	defer to.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		c.mu.Lock()
		silent := c.silent
		c.mu.Unlock()
		if silent {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil && err != io.EOF {
			return
		}
	}
}
