package main

import (
	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/internal/version"
)

const versionUsage = `Usage: eventstores version

Prints the version of this program, the commit it was built from if known, and the version of Go.

` + aboutOutput

func versionCommand(c *call) *cobra.Command {
	var as format
	cmd := newCommand("version", "print the version of this program", versionUsage, func(*cobra.Command, []string) error {
		c.say(as, version.Of("eventstores"), version.Read())
		return nil
	})
	as.outputFlag(cmd)
	cmd.Args = noArguments
	return cmd
}
