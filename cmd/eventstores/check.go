package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

const checkUsage = `Usage: eventstores check [--strict] [--offline] [--ask host[:port]] … <folder> …

Checks the Dapr component files of folders, one folder per app, for what would harm an event store:
unsafe stores, history that expires, locks that do not protect shared streams.

With --ask it also asks a Redis server whether it evicts keys and whether it persists. It takes the
password from the environment if the file does so (envRef). It asks only servers that --ask names:
otherwise anyone who can change a file could have your passwords sent to any server. It never prints
values from the environment.

It prints one finding per line, with file and line:

  refused: …   the event store would lose events
  warning: …   it may lose events, or something does not fit together
  hint:    …   what this command cannot see, for you to check

The exit code is 0 if nothing is refused and, with --strict, there is no warning. Otherwise it is 1. It
is 2 for wrong arguments or unreadable files.

` + aboutOutput

// level is the severity of a finding.
type level int

const (
	hint level = iota
	warning
	refused
)

func (l level) String() string { return [...]string{"hint", "warning", "refused"}[l] }

// finding is a problem or a hint about a line of a component file.
type finding struct {
	file  string
	line  int
	level level
	text  string
}

// checkLine is a finding in JSON.
type checkLine struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Level string `json:"level"`
	Text  string `json:"text"`
}

// checkSum is the last line in JSON.
type checkSum struct {
	Components int `json:"components"`
	Refused    int `json:"refused"`
	Warnings   int `json:"warnings"`
	Hints      int `json:"hints"`
}

// checking is what the command check is asked to do.
type checking struct {
	format
	strict, offline bool
	may             hosts
}

func checkCommand(c *call) *cobra.Command {
	var what checking
	cmd := newCommand("check", "check folders of Dapr component files", checkUsage, func(cmd *cobra.Command, folders []string) error {
		return what.run(cmd.Context(), c, folders)
	})
	what.outputFlag(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&what.strict, "strict", false, "exit with 1 for warnings, too")
	flags.BoolVar(&what.offline, "offline", false, "ask no servers, and print no hint about it")
	flags.Var(&what.may, "ask", "a `host` whose Redis server may be asked, with or without port; separate several by commas, or repeat the flag")
	return cmd
}

func (what checking) run(ctx context.Context, c *call, folders []string) error {
	if len(folders) == 0 {
		return wrong(errors.New("no folder given"))
	}
	var all []component
	var files []string
	for _, folder := range folders {
		components, err := readComponents(folder)
		if err != nil {
			return wrong(err)
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
	if !what.offline {
		for _, component := range all {
			found = append(found, askRedis(ctx, component, what.may)...)
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
		c.say(what.format, fmt.Sprintf("%s:%d: %s: %s", f.file, f.line, f.level, f.text),
			checkLine{c.hidden(f.file), f.line, f.level.String(), c.hidden(f.text)})
	}
	c.say(what.format, fmt.Sprintf("%d components: %d refused, %d warnings, %d hints", len(all), count[refused], count[warning], count[hint]),
		checkSum{len(all), count[refused], count[warning], count[hint]})
	if count[refused] > 0 || what.strict && count[warning] > 0 {
		return errSaid
	}
	return nil
}
