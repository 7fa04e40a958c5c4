package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/hexalith/eventstores-go/internal/version"
)

const versionUsage = `Usage: eventstores version

Prints the version of this program, the commit it was built from if known, and the version of Go.
`

func runVersion(_ context.Context, c *call, args []string) int {
	flags := flag.NewFlagSet("version", flag.ContinueOnError)
	if code, ok := c.parse(flags, args, versionUsage); !ok {
		return code
	}
	if flags.NArg() > 0 {
		return c.wrong(flags, errors.New("unexpected arguments"))
	}
	fmt.Fprintln(c.stdout, version.Of("eventstores"))
	return exitWell
}
