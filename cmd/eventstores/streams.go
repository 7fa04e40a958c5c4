package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/hexalith/eventstores-go/eventstore"
)

// aboutStreams is part of the usage of commands.
const aboutStreams = `Dapr cannot list the streams of a state store, so you name them: as arguments, or in a file with one
name per line. Blank lines and lines that begin with # are ignored. A name is database:type:id, as the
library's Stream.String returns it, or type:id in the default database. In each part, every byte
except A-Z a-z 0-9 - _ . ~ is written as %XX. As an argument a name can stand without that, such as
"customer:Ada Lovelace", unless a part contains one of : % @ / ? # = & ;
`

// names says where the names of streams come from, and how many streams are processed at a time.
type names struct {
	file, database string
	parallel       int
}

// flags adds the flags of names. The argument parallel says what happens to several streams at a
// time, such as "copied". If it is empty, streams are processed one at a time.
func (n *names) flags(flags *pflag.FlagSet, parallel string) {
	n.parallel = 1
	if parallel != "" {
		flags.IntVar(&n.parallel, "parallel", 4, "the number of `streams` that are "+parallel+" at a time")
	}
	flags.StringVar(&n.file, "streams", "", "the `file` with the names of the streams; - is standard input")
	n.databaseFlag(flags)
}

func (n *names) databaseFlag(flags *pflag.FlagSet) {
	flags.StringVar(&n.database, "database", eventstore.DefaultSettings().DefaultDatabase, "the `database` of names without one")
}

// streams returns the streams that the arguments and the file name, each once, in their order.
func (n *names) streams(args []string, stdin io.Reader) ([]eventstore.Stream, error) {
	if n.parallel < 1 {
		return nil, errNotParallel(n.parallel)
	}
	var all []eventstore.Stream
	seen := map[eventstore.Stream]bool{}
	add := func(stream eventstore.Stream) {
		if !seen[stream] {
			seen[stream] = true
			all = append(all, stream)
		}
	}
	for _, name := range args {
		stream, err := n.written(name)
		if err != nil {
			return nil, err
		}
		add(stream)
	}
	if n.file != "" {
		input, err := n.open(stdin)
		if err != nil {
			return nil, err
		}
		defer input.Close()
		for stream, err := range n.lines(input) {
			if err != nil {
				return nil, err
			}
			add(stream)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no streams given; name them as arguments, or in a file with --streams")
	}
	return all, nil
}

// open opens the file with names.
func (n *names) open(stdin io.Reader) (io.ReadCloser, error) {
	if n.file == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(n.file)
}

// lines returns the streams that the lines of a file name. The loop may go on after the error of a
// line. It ends after an error of the file.
func (n *names) lines(input io.Reader) iter.Seq2[eventstore.Stream, error] {
	return func(yield func(eventstore.Stream, error) bool) {
		lines := bufio.NewScanner(input)
		for number := 1; lines.Scan(); number++ {
			line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), byteOrderMark))
			err := plain(line)
			if err == nil && (line == "" || strings.HasPrefix(line, "#")) {
				continue
			}
			var stream eventstore.Stream
			if err == nil {
				stream, err = n.parse(line)
			}
			if err != nil {
				err = fmt.Errorf("%s:%d: %w", n.file, number, err)
			}
			if !yield(stream, err) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(eventstore.Stream{}, fmt.Errorf("%s: %w", n.file, err))
		}
	}
}

// byteOrderMark is what some editors write before UTF-8. In concatenated files it also occurs in
// the middle.
const byteOrderMark = "\ufeff"

// plain refuses a line that is not UTF-8 text.
func plain(line string) error {
	switch {
	case strings.HasPrefix(line, "\xff\xfe"), strings.HasPrefix(line, "\xfe\xff"), strings.ContainsRune(line, 0):
		return errors.New("the file is not UTF-8 text; save it as UTF-8")
	case !utf8.ValidString(line):
		return errors.New("the line is not UTF-8; save the file as UTF-8")
	}
	return nil
}

// parse returns the stream of an escaped name.
func (n *names) parse(name string) (eventstore.Stream, error) {
	if strings.ContainsAny(name, "@/?#=&;") || mayHoldPassword(name) {
		return eventstore.Stream{}, errors.New("invalid name of a stream; it is not shown because it may contain a password; write database:type:id with every byte except A-Z a-z 0-9 - _ . ~ as %XX, and name a store with --store, --from or --to")
	}
	switch strings.Count(name, ":") {
	case 0:
		return eventstore.Stream{}, fmt.Errorf("%q is not the name of a stream; write type:id or database:type:id", name)
	case 1:
	default:
		return eventstore.ParseStream(name)
	}
	// The escaped database.
	database, _, _ := strings.Cut(eventstore.Stream{Database: n.database}.String(), ":")
	return eventstore.ParseStream(database + ":" + name)
}

func errNotParallel(n int) error { return fmt.Errorf("--parallel must be positive, not %d", n) }

// written returns the stream of a name as a person writes it: escaped, or simply the parts.
func (n *names) written(name string) (eventstore.Stream, error) {
	stream, err := n.parse(name)
	if err == nil || strings.ContainsAny(name, "%@/?#=&;") || mayHoldPassword(name) {
		return stream, err
	}
	var plain eventstore.Stream
	switch parts := strings.Split(name, ":"); len(parts) {
	case 2:
		plain = eventstore.Stream{Database: n.database, Type: parts[0], ID: parts[1]}
	case 3:
		plain = eventstore.Stream{Database: parts[0], Type: parts[1], ID: parts[2]}
	default:
		return stream, err
	}
	return eventstore.ParseStream(plain.String())
}

// one returns the only stream that arguments name.
func (n *names) one(args []string) (eventstore.Stream, error) {
	if len(args) != 1 {
		return eventstore.Stream{}, errors.New("name one stream")
	}
	return n.written(args[0])
}

// readable returns a name for people: without %XX if all of it is letters, digits and single
// spaces.
func readable(stream eventstore.Stream) string {
	parts := []string{stream.Database, stream.Type, stream.ID}
	for _, part := range parts {
		if part != strings.Join(strings.Fields(part), " ") || strings.ContainsFunc(part, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.~ ", r)
		}) {
			return stream.String()
		}
	}
	return strings.Join(parts, ":")
}
