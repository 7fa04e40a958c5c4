// Command eventstores is for who runs event stores: it moves streams from one store to another, looks them over for damage, makes a
// lost head anew, and looks over component files before they are used.
//
//	eventstores copy -from sqlite:events.db -to dapr:statestore@localhost:50001 -streams names.txt
//	eventstores verify -store dapr:statestore@localhost:50001 BankAccount:123456000
//	eventstores rebuild-head -store redis://localhost:6379/0 BankAccount:123456000
//	eventstores check components/redis
//	eventstores version
//
// Each of them says more with -h. See docs/moving.md for a move from beginning to end.
//
// The exit code is 0 if all went well, 1 if something did not, which is said, and 2 for wrong arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
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
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends it at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is one of the things that can be done. It gets its arguments and returns the exit code.
type command struct {
	name, does string
	run        func(ctx context.Context, c *call, args []string) int
}

var commands = []command{
	{"copy", "copy streams from one store to another, and verify them", runCopy},
	{"verify", "look over streams for damage", runVerify},
	{"rebuild-head", "make the head of a stream anew that was lost", runRebuild},
	{"check", "look over folders of Dapr component files", runCheck},
	{"version", "print the version of this program", runVersion},
}

// call is what a command has of the world. What it prints goes through a [printer].
type call struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is the program, but for what belongs to the process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &call{stdin: stdin, stdout: &printer{w: stdout}, stderr: &printer{w: stderr}}
	if len(args) > 0 {
		for _, command := range commands {
			if command.name == args[0] {
				return command.run(ctx, c, args[1:])
			}
		}
	}
	text(c.stderr, "Usage: eventstores <command> …\n\n")
	for _, command := range commands {
		fmt.Fprintf(c.stderr, "  %-13s %s\n", command.name, command.does)
	}
	text(c.stderr, "\neventstores <command> -h says more.\n")
	switch {
	case len(args) == 0:
		return exitUsage
	case args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help":
		return exitWell
	}
	if strings.Trim(args[0], letters+"-") != "" {
		fmt.Fprintln(c.stderr, "There is no such command.")
	} else {
		fmt.Fprintf(c.stderr, "There is no command %q.\n", args[0])
	}
	return exitUsage
}

// parse reads a command's flags. Where it is not ok the command ends with the code.
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

// flagError is an error of package flag without what was written, which may be anything, a password too.
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
		return errors.New("there is a flag that can't be")
	case strings.HasPrefix(message, "invalid"):
		return fmt.Errorf("the flag -%s has a value that it can't have", name)
	}
	return err
}

// wrong says what is wrong with the arguments.
func (c *call) wrong(flags *flag.FlagSet, err error) int {
	fmt.Fprintf(c.stderr, "eventstores %s: %v\n", flags.Name(), err)
	fmt.Fprintf(c.stderr, "(eventstores %s -h says more)\n", flags.Name())
	return exitUsage
}

// failed says why a command could not begin.
func (c *call) failed(flags *flag.FlagSet, err error) int {
	fmt.Fprintf(c.stderr, "eventstores %s: %v\n", flags.Name(), err)
	return exitNot
}
