package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/cmd/demo/notices"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
	"github.com/hexalith/eventstores-go/eventstore"
)

// notify runs the subcommand of that name: a second service, which shows what the bank publishes,
// until ctx ends. It returns the exit code.
func notify(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo notify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `Usage: demo notify [-addr host:port] [-host name]... [-keys file] [-file bank.db]

Receives the transfers that demo serve publishes, and shows the newest at /. It has health at /livez
and /readyz, and metrics at /metrics. It uses the Dapr sidecar that DAPR_GRPC_PORT or
DAPR_GRPC_ENDPOINT names: its pub/sub component pubsub, and its state component noticestore.

Without a sidecar it receives nothing, because the bank then publishes within its own process. It
shows what that process has received and kept in the SQLite file.

Addresses, hosts, keys and the environment are as in demo serve.

`)
		flags.PrintDefaults()
	}
	h := newHost("notify", flags)
	file := flags.String("file", "bank.db", "the SQLite `file` of the notices; ignored with a sidecar")
	if code, ok := parse(flags, args, stderr); !ok {
		return code
	}
	open, part := openNoticeStore, "sidecar"
	if !hasSidecar() {
		open, part = func(ctx context.Context) (store, error) { return openFile(ctx, *file) }, "state store"
	}
	var n *openedNotices // since the service is connected
	return h.run(ctx, stderr, part, func(ctx context.Context, log *slog.Logger) (_ opened, err error) {
		n, err = openNotices(ctx, open, log)
		return n, err
	}, func(s *service.Service, log *slog.Logger) http.Handler {
		return s.Pages(func() http.Handler { return notices.Site(n.notices, log) })
	})
}

// openNoticeStore connects to the components of the sidecar that keep and deliver notices. The
// bank has another store, because a service that gets messages needs no access to what others have
// stored.
func openNoticeStore(ctx context.Context) (_ store, err error) {
	client, err := dialSidecar(ctx)
	if err != nil {
		return store{}, err
	}
	defer func() {
		if err != nil {
			client.Close()
		}
	}()
	s := store{conn: client.GrpcClientConn(), close: client.Close}
	if s.state, err = sidecar.NewState(ctx, client, noticeComponent); err != nil {
		return store{}, err
	}
	s.broker, err = sidecar.NewBroker(ctx, client, pubsubComponent)
	return s, err
}

// openedNotices are notices with their store.
type openedNotices struct {
	store
	notices *notices.Notices
}

// openNotices opens the store and the notices in it.
func openNotices(ctx context.Context, open func(context.Context) (store, error), log *slog.Logger) (_ *openedNotices, err error) {
	s, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	registry, err := eventstore.NewRegistry(notices.Types()...)
	if err != nil {
		return nil, err
	}
	observer, err := telemetry.NewObserver()
	if err != nil {
		return nil, err
	}
	state, err := telemetry.State(s.state, telemetry.WithComponent(noticeComponent))
	if err != nil {
		return nil, err
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(registry), eventstore.WithLogger(log), eventstore.WithObserver(observer))
	if err != nil {
		return nil, err
	}
	if s.broker == nil {
		log.Warn("nothing is received, because there is no sidecar; showing what demo serve has kept in the file")
	}
	return &openedNotices{s, notices.New(provider, log)}, nil
}

func (n *openedNotices) connected() service.Bank { return service.Bank{Reach: n.reach} }
func (n *openedNotices) close()                  { n.store.close() }

// work receives messages until stop is closed. A message that is being handled then is delivered
// again, to the next instance.
func (n *openedNotices) work(stop <-chan struct{}, log *slog.Logger) {
	if n.broker == nil {
		<-stop
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		again(ctx, log, "notices stand still", func(ctx context.Context) error {
			return n.broker.Subscribe(ctx, notices.Topic, n.notices.Handle)
		})
	}()
	<-stop
	cancel()
	<-ended
}
