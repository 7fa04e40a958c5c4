package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/page"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
	"github.com/hexalith/eventstores-go/eventstore"
)

// grace is what requests under way get when the service is told to end.
const grace = 10 * time.Second

// serve is the subcommand: the bank as a service, until ctx ends. It returns the exit code.
func serve(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `Usage: demo serve [-addr host:port] [-file bank.db]

Serves the bank over HTTP: a page at /, the API under /api/v1, its description at /openapi.yaml, health at /livez and
/readyz, metrics for Prometheus at /metrics. Traces go where OTEL_EXPORTER_OTLP_ENDPOINT says. Beside a Dapr sidecar where DAPR_GRPC_PORT or DAPR_GRPC_ENDPOINT is set, on a SQLite file otherwise. Logs go to
standard error, as JSON. SIGTERM and SIGINT end it: requests under way get 10 seconds, a second signal ends it at once.

`)
		flags.PrintDefaults()
	}
	addr := flags.String("addr", net.JoinHostPort("127.0.0.1", cmp.Or(os.Getenv("APP_PORT"), "8080")), "the `address` to listen on, by default at the port that APP_PORT says, as \"dapr run\" sets it")
	file := flags.String("file", "bank.db", "the SQLite `file` that keeps the accounts; not used with a sidecar")
	if code, ok := parse(flags, args, stderr); !ok {
		return code
	}

	log := slog.New(telemetry.LogHandler(slog.NewJSONHandler(stderr, nil)))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		fmt.Fprintf(stderr, "demo: can't listen on %s, choose another address with -addr: %v\n", *addr, err)
		return 1
	}
	stopTelemetry, metrics, err := startTelemetry(ctx, log)
	if err != nil {
		_ = listener.Close()
		fmt.Fprintf(stderr, "demo: OpenTelemetry can't be set up, look at the variables OTEL_*: %v\n", err)
		return 1
	}
	open, part := chooseStore(*file)
	s := service.New(log, part)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.Handle("/", s.Handler(func(accounts *bank.Accounts) http.Handler { return page.New(accounts, log) }))
	server := &http.Server{
		Handler: observeRequests(mux),

		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}

	connecting, giveUp := context.WithCancel(ctx)
	closed := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(closed)
		var opened store
		if s.Connect(connecting, func(ctx context.Context) (b service.Bank, err error) {
			opened, b, err = openBank(ctx, open, log)
			return b, err
		}) {
			<-stop
			opened.close()
		}
	}()

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	log.Info("listening", "addr", listener.Addr().String())

	code := 0
	select {
	case err := <-ended:
		log.Error("the server has ended", "error", err.Error())
		code = 1
	case <-ctx.Done():
		log.Info("shutting down")
		s.Drain()
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		if err := server.Shutdown(wait); err != nil {
			log.Warn("requests were still under way, they are cut", "error", err.Error())
			_ = server.Close()
		}
		cancel()
	}
	giveUp()
	close(stop)
	<-closed
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	if err := stopTelemetry(flush); err != nil {
		log.Warn("the last traces could not be sent", "error", err.Error())
	}
	cancel()
	log.Info("ended")
	return code
}

// openBank opens the store, and the bank in it.
func openBank(ctx context.Context, open func(context.Context) (store, error), log *slog.Logger) (_ store, _ service.Bank, err error) {
	s, err := open(ctx)
	if err != nil {
		return store{}, service.Bank{}, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	provider, err := newProvider(s, openTimeout(2*time.Second), eventstore.WithLogger(log),
		eventstore.WithObserver(telemetry.NewObserver()))
	if err != nil {
		return store{}, service.Bank{}, err
	}
	accounts, err := bank.NewAccounts(provider)
	if err != nil {
		return store{}, service.Bank{}, err
	}
	return s, service.Bank{Accounts: accounts, Reach: s.reach}, nil
}

// reach reads one key that is not there: if that is answered, so are other requests.
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
