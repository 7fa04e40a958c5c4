package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"google.golang.org/grpc/connectivity"

	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/page"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
	"github.com/hexalith/eventstores-go/eventstore"
)

const (
	grace      = 10 * time.Second // how long a shutdown waits for active requests
	feedGrace  = 2 * time.Second  // and then until the feed knows that this instance has ended
	indexAgain = 10 * time.Second // pause after indexing has failed
)

// serve runs the subcommand of that name: the bank as a service, until ctx ends. It returns the
// exit code.
func serve(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `Usage: demo serve [-addr host:port] [-host name]... [-keys file] [-file bank.db]

Serves the bank over HTTP: a page at /, the API under /api/v1, its description at /openapi.yaml, health
at /livez and /readyz, metrics for Prometheus at /metrics. OTEL_EXPORTER_OTLP_ENDPOINT says where
traces go. It uses a Dapr sidecar if DAPR_GRPC_PORT or DAPR_GRPC_ENDPOINT is set, otherwise a SQLite
file. It logs JSON to standard error. SIGTERM and SIGINT end it: active requests get 10 seconds, a
second signal ends it at once.

It answers requests to loopback names and to its own address; -host adds other names. On a loopback
address, API keys are optional. On any other address they are required. Each line of the file of keys
is a name, a role (read, write to move money, admin to close and delete) and a key of at least 16
bytes:

  ada write 0b1d5c0f7d5a4c0c8a9e9d1f1a2b3c4d

Programs send their key as "Authorization: Bearer KEY", people sign in with theirs. The variable
BANK_KEYS can contain the list itself, with semicolons between keys. BANK_KEYS_FILE names the file of
keys. BANK_HOSTS contains host names, separated by commas.

`)
		flags.PrintDefaults()
	}
	addr := flags.String("addr", net.JoinHostPort("127.0.0.1", cmp.Or(os.Getenv("APP_PORT"), "8080")), "the `address` to listen on; the default port is APP_PORT, as \"dapr run\" sets it, or 8080")
	file := flags.String("file", "bank.db", "the SQLite `file` of the accounts; ignored with a sidecar")
	var hosts []string
	flags.Func("host", "a host `name` of the service, besides loopback names and its own address; may be repeated", func(name string) error {
		hosts = append(hosts, namesIn(name)...)
		return nil
	})
	keyFile := flags.String("keys", os.Getenv("BANK_KEYS_FILE"), "the `file` of API keys")
	watchers := flags.Int("watchers", page.WatchersInAll, "the maximum number of pages that watch their account")
	clientWatchers := flags.Int("client-watchers", page.WatchersPerClient, "the maximum number of these pages from one address, which may be a proxy")
	if code, ok := parse(flags, args, stderr); !ok {
		return code
	}
	hosts = append(hosts, namesIn(os.Getenv("BANK_HOSTS"))...)
	if host, _, err := net.SplitHostPort(*addr); err == nil && host != "" && net.ParseIP(host) == nil {
		hosts = append(hosts, host) // the name it listens on is its own
	}
	keys, err := readKeys(*keyFile)
	if err != nil {
		fmt.Fprintln(stderr, "demo: cannot read the API keys:", err)
		return 1
	}

	log := slog.New(telemetry.LogHandler(slog.NewJSONHandler(stderr, nil)))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		fmt.Fprintf(stderr, "demo: cannot listen on %s; choose another address with -addr: %v\n", *addr, err)
		return 1
	}
	if at, ok := listener.Addr().(*net.TCPAddr); keys.None() && !(ok && at.IP.IsLoopback()) {
		_ = listener.Close()
		fmt.Fprintf(stderr, "demo: without API keys the bank is not started, because anyone who reaches %s could use it; set -keys, BANK_KEYS_FILE or BANK_KEYS (see demo serve -h), or listen on a loopback address, such as -addr 127.0.0.1:8080\n", *addr)
		return 1
	}
	stopTelemetry, metrics, err := startTelemetry(ctx, log)
	if err != nil {
		_ = listener.Close()
		fmt.Fprintf(stderr, "demo: cannot set up OpenTelemetry; check the variables OTEL_*: %v\n", err)
		return 1
	}
	open, part := chooseStore(*file)
	s := service.New(log, part, service.WithHosts(hosts...), service.WithKeys(keys), service.WithMetrics(metrics))
	handler := s.Handler(func(accounts *bank.Accounts) http.Handler {
		return page.New(accounts, log, page.WithWatchers(*clientWatchers, *watchers))
	})
	server := &http.Server{
		Handler: observeRequests(handler),

		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // all requests are small
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}

	connecting, giveUp := context.WithCancel(ctx)
	closed := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(closed)
		var b *openedBank
		if s.Connect(connecting, func(ctx context.Context) (_ service.Bank, err error) {
			if b, err = openBank(ctx, open, log); err != nil {
				return service.Bank{}, err
			}
			return service.Bank{Accounts: b.accounts, Reach: b.reach}, nil
		}) {
			b.index(stop, log)
			b.close()
		}
	}()

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	log.Info("listening", "addr", listener.Addr().String())

	code := 0
	select {
	case err := <-ended:
		log.Error("the server ended", "error", err.Error())
		code = 1
	case <-ctx.Done():
		log.Info("shutting down")
		s.Drain()
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		if err := server.Shutdown(wait); err != nil {
			log.Warn("cutting off requests that are still active", "error", err.Error())
			_ = server.Close()
		}
		cancel()
	}
	giveUp()
	close(stop)
	<-closed
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	if err := stopTelemetry(flush); err != nil {
		log.Warn("cannot send the last traces", "error", err.Error())
	}
	cancel()
	log.Info("ended")
	return code
}

// namesIn splits a list at commas and blanks.
func namesIn(list string) []string {
	return strings.FieldsFunc(list, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
}

// readKeys reads the API keys from a file, or from BANK_KEYS if file is empty.
func readKeys(file string) (*service.Keys, error) {
	if file == "" {
		keys, err := service.ParseKeys(os.Getenv("BANK_KEYS"))
		if err != nil {
			return nil, fmt.Errorf("BANK_KEYS: %w", err)
		}
		return keys, nil
	}
	if os.Getenv("BANK_KEYS") != "" {
		return nil, fmt.Errorf("BANK_KEYS and the file %s both contain keys; use only one", file)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	keys, err := service.ParseKeys(string(content))
	if err == nil && keys.None() {
		err = errors.New("the file contains no key")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return keys, nil
}

// openedBank is a bank with its store.
type openedBank struct {
	store
	provider *eventstore.Provider
	accounts *bank.Accounts
}

// openBank opens the store and the bank in it.
func openBank(ctx context.Context, open func(context.Context) (store, error), log *slog.Logger) (_ *openedBank, err error) {
	s, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	observer, err := telemetry.NewObserver()
	if err != nil {
		return nil, err
	}
	provider, err := newProvider(s, openTimeout(2*time.Second), eventstore.WithLogger(log), eventstore.WithObserver(observer))
	if err != nil {
		return nil, err
	}
	accounts, err := bank.NewAccounts(provider)
	if err != nil {
		return nil, err
	}
	return &openedBank{s, provider, accounts}, nil
}

// index indexes the bank and completes transfers until stop is closed, and then ends this
// instance's part in the feed. If that takes longer than feedGrace, the feed finds out by itself.
//
// If the feed is damaged, index logs it and tries again, because an operator may bring back what is
// damaged. The instance remains ready, because accounts can be used without the feed.
func (b *openedBank) index(stop <-chan struct{}, log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for problem, run := range map[string]func(context.Context) error{
		"the list of accounts and the live updates stand still": b.accounts.Index,
		"transfers stand still":                                 b.accounts.RunTransfers,
		"the overview stands still":                             b.accounts.RunOverview,
	} {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := run(ctx); err != nil {
					log.Error(problem, "error", err.Error())
					select {
					case <-ctx.Done():
					case <-time.After(indexAgain):
					}
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	<-stop
	cancel()
	ending, done := context.WithTimeout(context.Background(), feedGrace)
	defer done()
	select {
	case <-ended:
	case <-ending.Done():
	}
	if err := b.provider.Close(ending); err != nil {
		log.Warn("the feed does not know that this instance has ended", "error", err.Error())
	}
}

// reach reads a key that does not exist. If the store answers, other requests work, too.
func (s store) reach(ctx context.Context) error {
	_, err := s.state.Get(ctx, "ready", "ready")
	if err == nil {
		return nil
	}
	part := "state store"
	if s.conn != nil && s.conn.GetState() != connectivity.Ready {
		part = "sidecar"
	}
	return &service.AwayError{Part: part, Cause: err}
}
