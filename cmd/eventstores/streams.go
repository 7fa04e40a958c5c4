package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore"
)

// aboutStreams is for the usage of commands.
const aboutStreams = `State stores can't be listed through Dapr, so the names of the streams come from you: as arguments, or in a file with one
name a line, where blank lines and lines that begin with # do not count. A name is database:type:id, as Stream.String of the
library gives it, or type:id in the default database. In each part every byte but A-Z a-z 0-9 - _ . ~ is written %XX.
`

// names is where the names of streams come from, and how many streams are worked on at a time.
type names struct {
	file, database string
	parallel       int
}

// flags adds the flags of names. What is done with several streams at a time is what parallel says, as "copied"; empty: it is one
// at a time.
func (n *names) flags(flags *flag.FlagSet, parallel string) {
	n.parallel = 1
	if parallel != "" {
		flags.IntVar(&n.parallel, "parallel", 4, "how many `streams` are "+parallel+" at a time")
	}
	flags.StringVar(&n.file, "streams", "", "the `file` that holds the names of the streams; - is the standard input")
	flags.StringVar(&n.database, "database", eventstore.DefaultSettings().DefaultDatabase, "the `database` of names that have none")
}

// streams are those that are named by the arguments and the file, each once, in their order.
func (n *names) streams(args []string, stdin io.Reader) ([]eventstore.Stream, error) {
	if n.parallel < 1 {
		return nil, fmt.Errorf("-parallel %d is not positive", n.parallel)
	}
	var all []eventstore.Stream
	seen := map[eventstore.Stream]bool{}
	add := func(name string) error {
		stream, err := n.parse(name)
		if err == nil && !seen[stream] {
			seen[stream] = true
			all = append(all, stream)
		}
		return err
	}
	for _, name := range args {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	if n.file != "" {
		input := stdin
		if n.file != "-" {
			file, err := os.Open(n.file)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			input = file
		}
		lines := bufio.NewScanner(input)
		for number := 1; lines.Scan(); number++ {
			line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), byteOrderMark))
			if err := plain(line); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", n.file, number, err)
			}
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if err := add(line); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", n.file, number, err)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", n.file, err)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there are no names of streams: give them as arguments, or in a file with -streams")
	}
	return all, nil
}

// byteOrderMark is what some editors put in front of UTF-8. Where files were joined it stands within.
const byteOrderMark = "\ufeff"

// plain refuses a line that is no text as UTF-8.
func plain(line string) error {
	switch {
	case strings.HasPrefix(line, "\xff\xfe"), strings.HasPrefix(line, "\xfe\xff"), strings.ContainsRune(line, 0):
		return errors.New("the file is UTF-16 or UTF-32, or no text: save it as UTF-8")
	case !utf8.ValidString(line):
		return errors.New("the line is no UTF-8: save the file as UTF-8")
	}
	return nil
}

func (n *names) parse(name string) (eventstore.Stream, error) {
	if strings.ContainsAny(name, "@/?#=&;") || mayHoldPassword(name) {
		return eventstore.Stream{}, errors.New("a name is not shown because it could hold a password: a stream is named database:type:id, where every byte but A-Z a-z 0-9 - _ . ~ is written %XX; a store is named with -store, -from or -to")
	}
	if strings.Count(name, ":") != 1 {
		return eventstore.ParseStream(name)
	}
	// The database as it is escaped in a name.
	database, _, _ := strings.Cut(eventstore.Stream{Database: n.database}.String(), ":")
	return eventstore.ParseStream(database + ":" + name)
}
