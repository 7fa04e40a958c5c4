package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/internal/version"
)

const versionUsage = `Usage: eventstores version

Prints the version of this program, the commit it was built from if known, and the version of Go.
`

func versionCommand(c *call) *cobra.Command {
	cmd := newCommand("version", "print the version of this program", versionUsage, func(*cobra.Command, []string) error {
		fmt.Fprintln(c.stdout, version.Of("eventstores"))
		return nil
	})
	cmd.Args = noArguments
	return cmd
}
