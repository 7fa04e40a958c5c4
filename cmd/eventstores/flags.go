package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// twoDashes returns arguments in which the names of all flags begin with two dashes. One dash is
// accepted, because Go's own flags and older scripts have one. What is the value of a flag is left
// as it is.
func twoDashes(root *cobra.Command, args []string) []string {
	all := make([]string, 0, len(args))
	value := false // the argument is the value of the flag before it
	for i, arg := range args {
		switch {
		case value:
			value = false
		case arg == "--":
			return append(all, args[i:]...)
		case len(arg) > 1 && arg[0] == '-':
			if len(arg) > 2 && arg[1] != '-' && arg[2] != '=' { // -o=json is a letter
				arg = "-" + arg
			}
			value = takesValue(root, strings.TrimLeft(arg, "-"))
		}
		all = append(all, arg)
	}
	return all
}

// takesValue reports whether the argument after the flag with this name, or this letter, is its
// value. All commands agree on that.
func takesValue(cmd *cobra.Command, name string) bool {
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		flag := flags.Lookup(name)
		if len(name) == 1 {
			flag = flags.ShorthandLookup(name)
		}
		if flag != nil && flag.NoOptDefVal == "" {
			return true
		}
	}
	for _, sub := range cmd.Commands() {
		if takesValue(sub, name) {
			return true
		}
	}
	return false
}

// badFlag returns the error of a command's flags. A flag of a command that does not exist is
// unknown, too, but that is not what is wrong.
func badFlag(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 && words[0] != "help" {
		return unknown(cmd, words[0])
	}
	return wrong(flagError(err))
}

// flagError returns an error of a flag without the user's text, which may be a password.
func flagError(err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return fmt.Errorf("invalid value for flag --%s: %s", e.GetFlag().Name, wanted(e))
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return fmt.Errorf("flag --%s needs a value", e.GetFlag().Name)
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if name := e.GetSpecifiedName(); strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") == "" && name != "" {
			return fmt.Errorf("unknown flag --%s", name)
		}
	}
	return errors.New("invalid flag; put -- before names that begin with a dash")
}

// wanted returns what a flag accepts. The errors of the library quote the value.
func wanted(e *pflag.InvalidValueError) string {
	switch e.GetFlag().Value.(type) {
	case *when, *format, *hosts: // whose errors do not
		return errors.Unwrap(e).Error()
	}
	switch e.GetFlag().Value.Type() {
	case "duration":
		return "it must be a duration such as 5s"
	case "bool":
		return "it must be true or false"
	}
	return "it must be a whole number"
}
