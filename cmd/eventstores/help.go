package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// help prints how to use a command: on standard output if someone asked for it.
func help(to io.Writer, cmd *cobra.Command) {
	program := cmd.CommandPath()
	if about := cmd.Long; !cmd.HasAvailableSubCommands() || strings.HasPrefix(about, "Usage:") {
		if !strings.HasPrefix(about, "Usage:") { // a command that the library adds
			about = "Usage: " + cmd.UseLine() + "\n\n" + about + "\n"
		}
		text(to, about+"\n"+cmd.LocalFlags().FlagUsagesWrapped(helpWidth))
		return
	}
	text(to, "Usage: "+program+" <command> …\n\n")
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(to, "  %-13s %s\n", sub.Name(), sub.Short)
		}
	}
	text(to, "\nRun \""+program+" <command> -h\" for more about a command.\n")
}

const helpWidth = 100

// helpCommand is the command help, which says the same as the flag -h of another command.
func helpCommand(c *call) *cobra.Command {
	return &cobra.Command{
		Use: "help [command]", Short: "explain a command", Args: cobra.ArbitraryArgs,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			if about, rest := find(cmd.Root(), args); len(rest) == 0 {
				for _, sub := range about.Commands() {
					if sub.IsAvailableCommand() {
						names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.explain(cmd.Root(), args)
		},
	}
}

// explain prints how to use the command below cmd that words name.
func (c *call) explain(cmd *cobra.Command, words []string) error {
	about, rest := find(cmd, words)
	if len(rest) > 0 {
		return unknown(about, rest[0])
	}
	about.InitDefaultHelpFlag()
	help(c.stdout, about)
	return nil
}

// find returns the command that words name, and the words that name none.
func find(cmd *cobra.Command, words []string) (*cobra.Command, []string) {
	for len(words) > 0 {
		found := false
		for _, sub := range cmd.Commands() {
			if sub.Name() == words[0] {
				cmd, words, found = sub, words[1:], true
				break
			}
		}
		if !found {
			break
		}
	}
	return cmd, words
}
