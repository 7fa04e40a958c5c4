package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

const (
	exitWell  = 0
	exitNot   = 1
	exitUsage = 2
	exitPipe  = 141 // as shells say that SIGPIPE ended a program
)

// argumentError is an error of a user's arguments.
type argumentError struct{ error }

func (e argumentError) Unwrap() error { return e.error }

// wrong returns an error that says what is wrong with the arguments.
func wrong(err error) error { return argumentError{err} }

// errSaid ends a command that has printed what failed.
var errSaid = errors.New("failed")

// newCommand returns a command. Its usage is a text that -h prints, with the flags after it.
func newCommand(use, short, usage string, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Long: usage, Args: cobra.ArbitraryArgs, RunE: run}
}

// exit prints the error of a command and returns the exit code. The argument output is the error of
// writing to standard output, if any.
func (c *call) exit(cmd *cobra.Command, err, output error) int {
	_, usage := errors.AsType[argumentError](err)
	switch {
	case errors.Is(output, syscall.EPIPE), errors.Is(err, syscall.EPIPE): // the latter from a script for a shell
		return exitPipe
	case output != nil:
		fmt.Fprintf(c.stderr, "%s: %v\n", cmd.CommandPath(), output)
		return exitNot
	case err == nil:
		return exitWell
	case errors.Is(err, errSaid):
		return exitNot
	case errors.Is(err, errNoCommand):
		return exitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(c.stderr, "%s: stopped\n", cmd.CommandPath())
		return exitNot
	}
	fmt.Fprintf(c.stderr, "%s: %v\n", cmd.CommandPath(), err)
	if usage {
		help := cmd.CommandPath() + " -h"
		if cmd.HasSubCommands() {
			help = cmd.CommandPath() + " help"
		}
		fmt.Fprintf(c.stderr, "Run \"%s\" for help.\n", help)
		return exitUsage
	}
	return exitNot
}

// errNoCommand says that no command was named. The usage was printed.
var errNoCommand = errors.New("no command")

// choose is what a command does that has only subcommands.
func (c *call) choose(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		help(c.stderr, cmd)
		return errNoCommand
	case args[0] == "help":
		return c.explain(cmd, args[1:])
	}
	return unknown(cmd, args[0])
}

// unknown returns the error of a name that is no subcommand. It may be a password.
func unknown(cmd *cobra.Command, name string) error {
	if strings.Trim(name, letters+"-") != "" {
		return wrong(errors.New("unknown command"))
	}
	err := fmt.Errorf("unknown command %q", name)
	cmd.SuggestionsMinimumDistance = 2
	if meant := cmd.SuggestionsFor(name); len(meant) > 0 {
		slices.Sort(meant)
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(meant, " or "))
	}
	return wrong(err)
}

// quiet makes the commands that the library adds refuse arguments without printing them.
func (c *call) quiet(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.Args, cmd.RunE = cobra.ArbitraryArgs, c.choose
		for _, shell := range cmd.Commands() {
			shell.Args = noArguments
		}
	}
}

// noArguments refuses all arguments.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrong(errors.New("unexpected arguments: the command does not take any"))
	}
	return nil
}

// outputError returns why standard output cannot be written any more, or nil.
func outputError(ctx context.Context) error {
	failed, _ := errors.AsType[printError](context.Cause(ctx))
	return failed.error
}
