// Command eventstores is for operators of event stores. It lists, shows and follows streams, finds
// events, looks after projections, and shows all of that in a browser. It copies streams from one
// store to another, verifies them, rebuilds a lost head, looks after the feed of a store, and
// checks component files before they are used.
//
//	eventstores streams --store sqlite:events.db --since 2h
//	eventstores show --store sqlite:events.db "customer:Ada Lovelace"
//	eventstores tail --store redis://localhost:6379/0
//	eventstores find --store sqlite:events.db --correlation 4711
//	eventstores trace --store sqlite:events.db 0199f3c2-7a51-7c11-9d0e-3a52b1a4c0de
//	eventstores projections --store dapr:statestore@localhost:50001
//	eventstores doctor --store dapr:statestore@localhost:50001
//	eventstores console --store sqlite:events.db
//	eventstores copy --from sqlite:events.db --to dapr:statestore@localhost:50001 --streams names.txt
//	eventstores verify --store dapr:statestore@localhost:50001 BankAccount:123456000
//	eventstores rebuild-head --store redis://localhost:6379/0 BankAccount:123456000
//	eventstores feed import --store sqlite:events.db --all
//	eventstores feed verify --store dapr:statestore@localhost:50001
//	eventstores check components/redis
//	eventstores completion bash
//	eventstores version
//
// Each command explains itself with -h. Flags can stand before and after names, and begin with one
// dash or two. See docs/looking.md, and docs/moving.md for a complete move.
//
// The exit code is 0 for success, 1 for a failure that the command describes, and 2 for wrong
// arguments. It is 141 if whoever reads the output has stopped to read it.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // so that a command whose output is not read any more ends in order
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends the process at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// call gives a command its input and output. Everything it prints goes through a [printer].
type call struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	stopped        func() bool // nil: it is never stopped
}

// run is the program without the parts that belong to the process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c := &call{stdin: interruptible{ctx, stdin}, stdout: &printer{w: stdout, failed: stop}, stderr: &printer{w: stderr}, stopped: func() bool { return ctx.Err() != nil }}
	root := c.root()
	root.SetArgs(twoDashes(root, args))
	command, err := root.ExecuteContextC(ctx)
	return c.exit(command, err, outputError(ctx))
}

// root returns the tree of all commands.
func (c *call) root() *cobra.Command {
	root := &cobra.Command{
		Use: "eventstores", SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs, RunE: c.choose,
	}
	root.AddCommand(
		listCommand(c), showCommand(c), tailCommand(c), findCommand(c), traceCommand(c), appendCommand(c), projectionsCommand(c), doctorCommand(c), consoleCommand(c),
		copyCommand(c), verifyCommand(c), rebuildCommand(c), feedCommand(c), checkCommand(c), versionCommand(c),
	)
	root.SetIn(c.stdin)
	root.SetOut(raw(c.stdout)) // only scripts for shells
	root.SetErr(raw(c.stderr))
	root.SetFlagErrorFunc(badFlag)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { help(c.stdout, cmd) })
	root.SetHelpCommand(helpCommand(c))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	c.quiet(root)
	return root
}
