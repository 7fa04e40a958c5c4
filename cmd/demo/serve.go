package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"google.golang.org/grpc/connectivity"

	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/notices"
	"github.com/hexalith/eventstores-go/cmd/demo/page"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

const (
	grace     = 10 * time.Second // how long a shutdown waits for active requests
	feedGrace = 2 * time.Second  // and then until the feed knows that this instance has ended
	taskAgain = 10 * time.Second // pause after a background task has failed
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
file. It publishes completed transfers: by the sidecar's component pubsub, for demo notify, or
within the process, for the page /notices. It logs JSON to standard error. SIGTERM and SIGINT end it: active requests get 10 seconds, a
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
	h := newHost("bank", flags)
	file := flags.String("file", "bank.db", "the SQLite `file` of the accounts; ignored with a sidecar")
	watchers := flags.Int("watchers", page.WatchersInAll, "the maximum number of pages that watch their account")
	clientWatchers := flags.Int("client-watchers", page.WatchersPerClient, "the maximum number of these pages from one address, which may be a proxy")
	if code, ok := parse(flags, args, stderr); !ok {
		return code
	}
	open, part := chooseStore(*file)
	var b *openedBank // since the service is connected
	return h.run(ctx, stderr, part, func(ctx context.Context, log *slog.Logger) (_ opened, err error) {
		b, err = openBank(ctx, open, log)
		return b, err
	}, func(s *service.Service, log *slog.Logger) http.Handler {
		return s.Handler(func(accounts *bank.Accounts) http.Handler {
			options := []page.Option{page.WithWatchers(*clientWatchers, *watchers)}
			if b.notices != nil {
				options = append(options, page.WithNotices(notices.Page(b.notices, log, true)))
			}
			return page.New(accounts, log, options...)
		})
	})
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
	provider      *eventstore.Provider
	accounts      *bank.Accounts
	announcements *publishing.Publication // nil: there is no broker

	local   *publishing.Local // nil beside a sidecar
	notices *notices.Notices  // of the local broker
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
	b := &openedBank{store: s, provider: provider, accounts: accounts}
	broker := s.broker
	if s.conn == nil {
		b.local, b.notices = publishing.NewLocal(), notices.New(provider, log)
		broker = b.local
	}
	if broker == nil {
		log.Warn("transfers are not published, because the sidecar has no pub/sub component of that name", "component", pubsubComponent)
		return b, nil
	}
	b.announcements, err = accounts.Announcements(broker)
	return b, err
}

func (b *openedBank) connected() service.Bank {
	return service.Bank{Accounts: b.accounts, Reach: b.reach}
}

func (b *openedBank) close() { b.store.close() }

// work indexes the bank, completes transfers and publishes them until stop is closed, and then ends
// this instance's part in the feed. If that takes longer than feedGrace, the feed finds out by
// itself.
//
// If the feed is damaged, work logs it and tries again, because an operator may bring back what is
// damaged. The instance remains ready, because accounts can be used without the feed.
func (b *openedBank) work(stop <-chan struct{}, log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	tasks := map[string]func(context.Context) error{
		"the list of accounts and the live updates stand still": b.accounts.Index,
		"transfers stand still":                                 b.accounts.RunTransfers,
		"the overview stands still":                             b.accounts.RunOverview,
	}
	if b.announcements != nil {
		tasks["announcements stand still"] = b.announcements.Run
	}
	if b.local != nil {
		tasks["notices stand still"] = func(ctx context.Context) error {
			return b.local.Subscribe(ctx, notices.Topic, b.notices.Handle)
		}
	}
	var all sync.WaitGroup
	for problem, run := range tasks {
		all.Go(func() { again(ctx, log, problem, run) })
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

// again runs a task until ctx ends. If the task fails, again logs the problem and runs it once more
// after a pause.
func again(ctx context.Context, log *slog.Logger, problem string, run func(context.Context) error) {
	for ctx.Err() == nil {
		if err := run(ctx); err != nil {
			log.Error(problem, "error", err.Error())
			select {
			case <-ctx.Done():
			case <-time.After(taskAgain):
			}
		}
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
