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

	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
)

// host is what the services of this program have in common: an address, and whom they answer.
type host struct {
	name    string // of the service in messages and traces
	addr    string
	hosts   []string
	keyFile string
}

// newHost returns a host that takes its settings from flags and the environment.
func newHost(name string, flags *flag.FlagSet) *host {
	h := &host{name: name}
	flags.StringVar(&h.addr, "addr", net.JoinHostPort("127.0.0.1", cmp.Or(os.Getenv("APP_PORT"), "8080")), "the `address` to listen on; the default port is APP_PORT, as \"dapr run\" sets it, or 8080")
	flags.Func("host", "a host `name` of the service, besides loopback names and its own address; may be repeated", func(name string) error {
		h.hosts = append(h.hosts, namesIn(name)...)
		return nil
	})
	flags.StringVar(&h.keyFile, "keys", os.Getenv("BANK_KEYS_FILE"), "the `file` of API keys")
	return h
}

// opened is what a host has opened.
type opened interface {
	connected() service.Bank

	// work does what the service does in the background until stop is closed.
	work(stop <-chan struct{}, log *slog.Logger)
	close()
}

// run listens, opens what the service needs, and serves it until ctx ends. It returns the exit
// code. The part is what the service connects to.
func (h *host) run(ctx context.Context, stderr io.Writer, part string,
	open func(context.Context, *slog.Logger) (opened, error), handler func(*service.Service, *slog.Logger) http.Handler) int {
	hosts := append(h.hosts, namesIn(os.Getenv("BANK_HOSTS"))...)
	if name, _, err := net.SplitHostPort(h.addr); err == nil && name != "" && net.ParseIP(name) == nil {
		hosts = append(hosts, name) // the name it listens on is its own
	}
	keys, err := readKeys(h.keyFile)
	if err != nil {
		fmt.Fprintln(stderr, "demo: cannot read the API keys:", err)
		return 1
	}

	log := slog.New(telemetry.LogHandler(slog.NewJSONHandler(stderr, nil)))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", h.addr)
	if err != nil {
		fmt.Fprintf(stderr, "demo: cannot listen on %s; choose another address with -addr: %v\n", h.addr, err)
		return 1
	}
	if at, ok := listener.Addr().(*net.TCPAddr); keys.None() && !(ok && at.IP.IsLoopback()) {
		_ = listener.Close()
		fmt.Fprintf(stderr, "demo: without API keys the service %s is not started, because anyone who reaches %s could use it; set -keys, BANK_KEYS_FILE or BANK_KEYS (see demo serve -h), or listen on a loopback address, such as -addr 127.0.0.1:8080\n", h.name, h.addr)
		return 1
	}
	stopTelemetry, metrics, err := startTelemetry(ctx, h.name, log)
	if err != nil {
		_ = listener.Close()
		fmt.Fprintf(stderr, "demo: cannot set up OpenTelemetry; check the variables OTEL_*: %v\n", err)
		return 1
	}
	s := service.New(log, part, service.WithHosts(hosts...), service.WithKeys(keys), service.WithMetrics(metrics))
	server := &http.Server{
		Handler: observeRequests(handler(s, log)),

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
		var o opened
		if s.Connect(connecting, func(ctx context.Context) (_ service.Bank, err error) {
			if o, err = open(ctx, log); err != nil {
				return service.Bank{}, err
			}
			return o.connected(), nil
		}) {
			o.work(stop, log)
			o.close()
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
