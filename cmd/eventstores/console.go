package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/adapter/console"
)

const consoleUsage = `Usage: eventstores console --store <store> [--listen host:port] [--token-env NAME] [--allow-changes]

Shows a store in a browser until it is stopped with Ctrl+C: streams and their events, snapshots, what
happened last anywhere, everything of one correlation id with its causes, projections with their lag and
what they have parked, and the health of the store. Pages follow what happens. It prints their address.

Pages show payloads and metadata as they are stored. So by default only users of this machine reach
them. To listen on another address, name an environment variable with a token of at least 16 bytes with
--token-env. Browsers ask for it once. The connection is not encrypted: put a proxy with TLS before it,
because a browser stays signed in only over TLS or on a loopback address.

The console changes nothing, unless --allow-changes is given. Then streams that a projection or another
subscription has parked can be retried and skipped.

` + aboutFeeds + `
` + aboutDocuments + `
` + aboutStores + `
The exit code is 0 if it was stopped, or 1 if the store has no feed, or if it cannot listen. It is 2 for
wrong arguments.
`

// serving is what the command console is asked to do.
type serving struct {
	feedFlags
	listen, token, documents string
	changes                  bool
}

func consoleCommand(c *call) *cobra.Command {
	var what serving
	cmd := newCommand("console", "show a store in a browser", consoleUsage, func(cmd *cobra.Command, _ []string) error {
		return what.run(cmd.Context(), c)
	})
	flags := cmd.Flags()
	what.flags(flags)
	flags.StringVar(&what.documents, "documents", "", "the `store` that holds the documents of projections, if it is another one")
	flags.StringVar(&what.listen, "listen", "127.0.0.1:8090", "the `address` to listen on; port 0 takes a free one")
	flags.StringVar(&what.token, "token-env", "", "the `name` of an environment variable with the token that browsers are asked for")
	flags.BoolVar(&what.changes, "allow-changes", false, "let people retry and skip what is parked")
	cmd.Args = noArguments
	return cmd
}

// The time limits of the server. Live updates have their own.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 60 * time.Second // for downloads
	idleTimeout   = 2 * time.Minute
)

func (what serving) run(ctx context.Context, c *call) error {
	as := reading
	if what.changes {
		as = mending
	}
	token, err := what.secret()
	if err != nil {
		return wrong(err)
	}
	host, _, err := net.SplitHostPort(what.listen)
	if err != nil {
		return wrong(errors.New("--listen needs host:port, such as 127.0.0.1:8090"))
	}
	if token == "" && !isLoopback(host) {
		return wrong(errors.New("without --token-env, the console listens only on loopback addresses, such as 127.0.0.1:8090"))
	}
	s, err := what.named(c, as)
	if err != nil {
		return err
	}
	c.hide(s.secret, token)
	options, done, err := what.options(ctx, c, s, host, token)
	if err != nil {
		return err
	}
	defer done()
	f, _, closeFeed, err := what.openFeed(ctx, s, warnings(c))
	if err != nil {
		return err
	}
	defer closeFeed()
	handler, err := console.New(f, options...)
	if err != nil {
		return wrong(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", what.listen)
	if err != nil {
		return fmt.Errorf("%w; name another address with --listen", err)
	}
	fmt.Fprintf(c.stdout, "console  http://%s/ shows %s; stop it with Ctrl+C\n", listener.Addr(), s.name)
	return serve(ctx, c, listener, handler)
}

// secret returns the token, or nothing if none is asked for.
func (what serving) secret() (string, error) {
	if what.token == "" {
		return "", nil
	}
	token, err := secret(what.token, "")
	if err != nil {
		return "", fmt.Errorf("--token-env: %w", err)
	}
	if len(token) < 16 {
		return "", errors.New("--token-env: the token is shorter than 16 bytes")
	}
	return token, nil
}

// options returns the options of the console. Call done at the end.
func (what serving) options(ctx context.Context, c *call, s store, host, token string) (options []console.Option, done func(), err error) {
	done = func() {}
	options = append(options, console.WithTitle(s.name))
	if what.changes {
		options = append(options, console.WithChanges())
	}
	if s.flaws != nil {
		options = append(options, console.WithCheck("Server", s.flaws))
	}
	if token != "" {
		options = append(options, console.WithToken(token))
	}
	if isLoopback(host) { // a page of another site could let its name point here
		options = append(options, console.WithHosts("localhost", "127.0.0.1", "::1", host))
	}
	if what.documents != "" {
		d, err := parseStore(what.documents, reading)
		if err != nil {
			return nil, done, wrong(fmt.Errorf("--documents: %w", err))
		}
		c.hide(s.secret, d.secret, token)
		o, err := d.openWith(ctx, warnings(c))
		if err != nil {
			return nil, done, err
		}
		done = o.close
		options = append(options, console.WithDocuments(o.state))
	}
	return options, done, nil
}

// isLoopback reports whether only this machine can reach a host to listen on.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// serve answers requests until ctx ends.
func serve(ctx context.Context, c *call, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(warnings(c).Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close()
	}
	<-ended
	return nil
}
