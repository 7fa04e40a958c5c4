// Command eventstores is for operators of event stores. It copies streams from one store to
// another, verifies them, rebuilds a lost head, looks after the feed of a store, and checks
// component files before they are used.
//
//	eventstores copy -from sqlite:events.db -to dapr:statestore@localhost:50001 -streams names.txt
//	eventstores verify -store dapr:statestore@localhost:50001 BankAccount:123456000
//	eventstores rebuild-head -store redis://localhost:6379/0 BankAccount:123456000
//	eventstores feed import -store sqlite:events.db -all
//	eventstores feed verify -store dapr:statestore@localhost:50001
//	eventstores check components/redis
//	eventstores version
//
// Each command explains itself with -h. See docs/moving.md for a complete move.
//
// The exit code is 0 for success, 1 for a failure that the command describes, and 2 for wrong
// arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

const (
	exitWell  = 0
	exitNot   = 1
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends the process at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is one subcommand. It gets its arguments and returns the exit code.
type command struct {
	name, does string
	run        func(ctx context.Context, c *call, args []string) int
}

var commands = []command{
	{"copy", "copy streams from one store to another, and verify them", runCopy},
	{"verify", "look for damage in streams", runVerify},
	{"rebuild-head", "rebuild the lost head of a stream", runRebuild},
	{"feed", "import streams into the feed of a store, verify, repair and describe it", runFeed},
	{"check", "check folders of Dapr component files", runCheck},
	{"version", "print the version of this program", runVersion},
}

// call gives a command its input and output. Everything it prints goes through a [printer].
type call struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is the program without the parts that belong to the process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &call{stdin: stdin, stdout: &printer{w: stdout}, stderr: &printer{w: stderr}}
	return c.choose(ctx, "eventstores", commands, args)
}

// choose runs the command that the first argument names. The argument program is how the user came
// to this choice.
func (c *call) choose(ctx context.Context, program string, commands []command, args []string) int {
	if len(args) > 0 {
		for _, command := range commands {
			if command.name == args[0] {
				return command.run(ctx, c, args[1:])
			}
		}
	}
	if len(args) > 0 && !slices.Contains([]string{"-h", "-help", "--help", "help"}, args[0]) {
		if strings.Trim(args[0], letters+"-") != "" { // not printed, because it may be a password
			text(c.stderr, program+": unknown command\n")
		} else {
			fmt.Fprintf(c.stderr, "%s: unknown command %q\n", program, args[0])
		}
		text(c.stderr, "Run \""+program+" help\" for usage.\n")
		return exitUsage
	}
	text(c.stderr, "Usage: "+program+" <command> …\n\n")
	for _, command := range commands {
		fmt.Fprintf(c.stderr, "  %-13s %s\n", command.name, command.does)
	}
	text(c.stderr, "\nRun \""+program+" <command> -h\" for more about a command.\n")
	if len(args) == 0 {
		return exitUsage
	}
	return exitWell
}

// parse parses a command's flags. If ok is false, the command ends with the code.
func (c *call) parse(flags *flag.FlagSet, args []string, usage string) (code int, ok bool) {
	var defaults strings.Builder
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	err := flags.Parse(args)
	if err == nil {
		return 0, true
	}
	if !errors.Is(err, flag.ErrHelp) {
		return c.wrong(flags, flagError(err)), false
	}
	flags.SetOutput(&defaults)
	flags.PrintDefaults()
	text(c.stderr, usage+"\n"+defaults.String())
	return exitWell, false
}

// flagError returns an error of package flag without the user's text, which may be a password.
func flagError(err error) error {
	message := err.Error()
	name := message[strings.LastIndex(message, "-")+1:]
	if at := strings.LastIndex(message, "for flag -"); at >= 0 {
		name, _, _ = strings.Cut(message[at+len("for flag -"):], ":")
	} else if at := strings.LastIndex(message, "for -"); at >= 0 {
		name, _, _ = strings.Cut(message[at+len("for -"):], ":")
	}
	switch {
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != "" || name == "":
		return errors.New("invalid flag")
	case strings.HasPrefix(message, "invalid"):
		return fmt.Errorf("invalid value for flag -%s", name)
	}
	return err
}

// wrong prints what is wrong with the arguments.
func (c *call) wrong(flags *flag.FlagSet, err error) int {
	fmt.Fprintf(c.stderr, "eventstores %s: %v\n", flags.Name(), err)
	fmt.Fprintf(c.stderr, "Run \"eventstores %s -h\" for help.\n", flags.Name())
	return exitUsage
}

// failed prints why a command could not start.
func (c *call) failed(flags *flag.FlagSet, err error) int {
	fmt.Fprintf(c.stderr, "eventstores %s: %v\n", flags.Name(), err)
	return exitNot
}
