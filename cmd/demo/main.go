// Command demo is a bank on the event store: a tour that opens an account, moves money, and shows what is refused and
// why; and the same as a service, with a page and an HTTP API.
//
//	go run ./cmd/demo                   the tour, with the accounts in the SQLite file bank.db
//	go run ./cmd/demo -file other.db    the tour, with another file
//	go run ./cmd/demo serve             the service, at 127.0.0.1:8080; -h says more
//	go run ./cmd/demo version           the version of this program and of Go
//
// With DAPR_GRPC_PORT in the environment, as "dapr run" sets it, or DAPR_GRPC_ENDPOINT, both go through the Dapr
// sidecar there: its state component statestore and, where it has one, its lock component lockstore.
//
// The exit code of the tour is 0 only if every step did what it says, that of the service 0 if it was told to end; 1 if
// not, 2 for wrong arguments.
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
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program, but for what belongs to the process. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "serve" {
		return serve(ctx, args[1:], stderr)
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
       demo serve             serves the bank over HTTP; demo serve -h says how
       demo version           prints the version of this program and of Go

Beside a Dapr sidecar where DAPR_GRPC_PORT or DAPR_GRPC_ENDPOINT is set, on a SQLite file otherwise.

`)
		flags.PrintDefaults()
	}
	file := flags.String("file", "bank.db", "the SQLite `file` that keeps the accounts; not used with a sidecar")
	if code, ok := parse(flags, args, stderr); !ok {
		return code
	}

	// Nothing here takes long; a store that does not answer must not hold the tour up for ever.
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

// parse parses arguments that are flags alone. Where there is nothing more to do it returns the exit code, and false.
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
