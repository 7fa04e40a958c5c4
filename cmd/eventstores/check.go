package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
)

const checkUsage = `Usage: eventstores check [-strict] [-offline] [-ask host[:port]] … <folder> …

Looks over the Dapr component files of folders, one folder for each app, for what would harm an event store: stores that can't be
safe, history that would expire, locks that do not keep apart who shares streams.

With -ask it also asks a Redis server whether it evicts keys and whether it persists, with the password from the environment where
the file takes it from there (envRef). Only servers that -ask names are asked, since who can change a file could otherwise have
your passwords sent anywhere. Values from the environment are never printed.

It prints what it finds, one a line, with file and line:

  refused: …   the event store would lose events
  warning: …   it may lose events, or something does not fit together
  hint:    …   what can't be seen from here, for you to look at

The exit code is 0 if nothing is refused, with -strict only if there is no warning either; else 1; 2 for wrong arguments
or files that can't be read.
`

// level says how bad a finding is.
type level int

const (
	hint level = iota
	warning
	refused
)

func (l level) String() string { return [...]string{"hint", "warning", "refused"}[l] }

// finding is something in a component file that the reader should know.
type finding struct {
	file  string
	line  int
	level level
	text  string
}

func runCheck(ctx context.Context, c *call, args []string) int {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	strict := flags.Bool("strict", false, "warnings make the exit code 1, too")
	offline := flags.Bool("offline", false, "ask no servers, and do not remind of it")
	var may hosts
	flags.Var(&may, "ask", "a `host` whose Redis server may be asked, with or without port; several with commas, or the flag again")
	if code, ok := c.parse(flags, args, checkUsage); !ok {
		return code
	}
	if flags.NArg() == 0 {
		return c.wrong(flags, errors.New("there is no folder to look at"))
	}
	var all []component
	var files []string
	for _, folder := range flags.Args() {
		components, err := readComponents(folder)
		if err != nil {
			return c.wrong(flags, err)
		}
		for _, component := range components {
			all, files = append(all, component), append(files, component.file)
		}
	}
	var secrets []string
	for _, component := range all {
		for name, p := range component.properties {
			if p.variable != "" && slices.Contains(sentFromEnvs, name) {
				secrets = append(secrets, p.value)
			}
		}
	}
	c.hide(secrets...)
	found := check(all)
	if !*offline {
		for _, component := range all {
			found = append(found, askRedis(ctx, component, may)...)
		}
	}
	slices.SortStableFunc(found, func(a, b finding) int {
		if a.file != b.file {
			return slices.Index(files, a.file) - slices.Index(files, b.file)
		}
		return a.line - b.line
	})
	count := map[level]int{}
	for _, f := range found {
		count[f.level]++
		fmt.Fprintf(c.stdout, "%s:%d: %s: %s\n", f.file, f.line, f.level, f.text)
	}
	fmt.Fprintf(c.stdout, "%d components: %d refused, %d warnings, %d hints\n", len(all), count[refused], count[warning], count[hint])
	if count[refused] > 0 || *strict && count[warning] > 0 {
		return exitNot
	}
	return exitWell
}
