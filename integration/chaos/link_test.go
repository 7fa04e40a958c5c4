package chaos

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is a connection to a server that a test can cut, silence and slow down. It is a proxy in
// this process.
type link struct {
	proxy *toxiproxy.Proxy
}

func startLink(t *testing.T, name, upstream string) *link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &link{proxy: toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)}
	if err := l.proxy.Start(); err != nil {
		t.Fatalf("link %s: %v", name, err)
	}
	t.Cleanup(l.proxy.Stop)
	return l
}

// addr returns the address to connect to. It stays the same.
func (l *link) addr() string { return l.proxy.Listen }

// cut closes all connections and accepts no new ones until mend is called.
func (l *link) cut() { l.proxy.Stop() }

func (l *link) mend() error { return l.proxy.Start() }

// direction is the direction of data on a link.
type direction string

const (
	requests direction = "upstream"
	answers  direction = "downstream"
)

// reset resets a connection as soon as data passes in that direction. The data is lost.
func (l *link) reset(d direction) error { return l.toxic(d, "reset_peer", `{"timeout":0}`) }

// silence drops all data in that direction without an error.
func (l *link) silence(d direction) error { return l.toxic(d, "timeout", `{"timeout":0}`) }

// delay delays the data in that direction by that many milliseconds, plus or minus half of it.
func (l *link) delay(d direction, milliseconds int) error {
	return l.toxic(d, "latency", fmt.Sprintf(`{"latency":%d,"jitter":%d}`, milliseconds, milliseconds/2))
}

func (l *link) toxic(d direction, kind, attributes string) error {
	_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":%s}`, kind, d, attributes)))
	return err
}

// heal undoes reset, silence and delay. It closes connections that were silenced.
func (l *link) heal() { l.proxy.Toxics.ResetToxics(context.Background()) }
