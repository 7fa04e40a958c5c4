// Command demo is a bank on the event store. It offers a tour that opens an account, moves money,
// and shows what the event store refuses and why. It can also run as a service with a web page and
// an HTTP API.
//
//	go run ./cmd/demo                   the tour, with the accounts in the SQLite file bank.db
//	go run ./cmd/demo -file other.db    the tour, with another file
//	go run ./cmd/demo serve             the service, at 127.0.0.1:8080; see -h
//	go run ./cmd/demo notify            a second service, which shows what the first one publishes; see -h
//	go run ./cmd/demo version           the version of this program and of Go
//
// If the environment has DAPR_GRPC_PORT, as "dapr run" sets it, or DAPR_GRPC_ENDPOINT, all of them
// use that Dapr sidecar. The tour and the service use its state component statestore and its lock
// component lockstore, if it has one. The service publishes by its component pubsub, if it has one.
// The second service needs the components pubsub and noticestore.
//
// The exit code of the tour is 0 if every step had the expected result. The exit code of the
// services is 0 if a signal ended them. Otherwise the exit code is 1, and 2 for wrong arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hexalith/eventstores-go/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without the parts that belong to the process. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "serve" {
		return serve(ctx, args[1:], stderr)
	}
	if len(args) > 0 && args[0] == "notify" {
		return notify(ctx, args[1:], stderr)
	}
	if len(args) == 1 && args[0] == "version" {
		if _, err := fmt.Fprintln(stdout, version.Of("demo")); err != nil {
			return 1
		}
		return 0
	}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `Usage: demo [-file bank.db]    runs the tour of a bank account
       demo serve             serves the bank over HTTP; see demo serve -h
       demo notify            shows what the bank publishes; see demo notify -h
       demo version           prints the version of this program and of Go

It uses a Dapr sidecar if DAPR_GRPC_PORT or DAPR_GRPC_ENDPOINT is set, otherwise a SQLite file.

`)
		flags.PrintDefaults()
	}
	file := flags.String("file", "bank.db", "the SQLite `file` of the accounts; ignored with a sidecar")
	if code, ok := parse(flags, args, stderr); !ok {
		return code
	}

	// Nothing here takes long, so a store that does not answer must not block the tour.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	open, _ := chooseStore(*file)
	s, err := open(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	defer s.close()
	if err := takeTour(ctx, s, stdout); err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	return 0
}

// parse parses arguments that must all be flags. If it returns false, the program ends with the
// exit code.
func parse(flags *flag.FlagSet, args []string, stderr io.Writer) (code int, ok bool) {
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0, false
	case err != nil:
		return 2, false
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "unexpected argument %q\n", flags.Arg(0))
		flags.Usage()
		return 2, false
	}
	return 0, true
}
