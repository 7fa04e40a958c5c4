package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
)

const showUsage = `Usage: eventstores show --store <store> [--from V] [--to V] [--backwards] [--type T] <stream>
       eventstores show --store <store> --at V <stream>

Prints the events of a stream with their metadata and payload. A payload that is JSON or readable text
is printed as such, another one in base64. Events are shown as they are stored. What package sealed has
encrypted stays encrypted.

With --at it prints the newest snapshot at or below a version instead. With --raw it prints payloads
alone, exactly as they are stored, each with a line feed after it. On a terminal, what would control
the terminal is escaped.

` + aboutStores + `
` + aboutOutput + `
The exit code is 0, or 1 if the store has no such stream, or if an event cannot be read. It is 2 for
wrong arguments.
`

// showing is what the command show is asked to do.
type showing struct {
	feedFlags
	names
	format
	from, to, at   int64
	backwards, raw bool
	types          []string
}

func showCommand(c *call) *cobra.Command {
	var what showing
	cmd := newCommand("show", "print the events of a stream, or a snapshot", showUsage, func(cmd *cobra.Command, args []string) error {
		return what.run(cmd.Context(), c, cmd.Flags().Changed("at"), args)
	})
	flags := cmd.Flags()
	flags.StringVar(&what.store, "store", "", "the `store` that holds the stream")
	what.databaseFlag(flags)
	what.outputFlag(cmd)
	flags.Int64Var(&what.from, "from", 1, "the first `version`")
	flags.Int64Var(&what.to, "to", 0, "the last `version`; by default that of the stream")
	flags.Int64Var(&what.at, "at", 0, "print the newest snapshot at or below this `version`")
	flags.BoolVar(&what.backwards, "backwards", false, "the newest event first")
	flags.BoolVar(&what.raw, "raw", false, "print only payloads, as they are stored")
	flags.StringArrayVar(&what.types, "type", nil, "only events of this `type`; can be repeated")
	return cmd
}

func (what showing) run(ctx context.Context, c *call, snapshot bool, args []string) error {
	switch {
	case what.raw && what.format == asJSON:
		return wrong(errors.New("--raw does not go with --output json"))
	case what.from < 1:
		return wrong(errors.New("--from must be positive"))
	case what.to < 0, what.to > 0 && what.to < what.from:
		return wrong(errors.New("--to must not be below --from"))
	case snapshot && what.at < 1:
		return wrong(errors.New("--at must be positive"))
	}
	stream, err := what.one(args)
	if err != nil {
		return wrong(err)
	}
	s, err := what.named(c, reading)
	if err != nil {
		return err
	}
	o, err := s.openWith(ctx, warnings(c))
	if err != nil {
		return err
	}
	defer o.close()
	provider, err := o.provider(warnings(c))
	if err != nil {
		return err
	}
	if snapshot {
		err = what.snapshot(ctx, c, provider.Reader(stream))
	} else {
		err = what.events(ctx, c, provider.Reader(stream))
	}
	if _, unknown := errors.AsType[*eventstore.StreamNotFoundError](err); unknown {
		if advice := o.elsewhere(ctx, headOf(stream)); advice != "" {
			return fmt.Errorf("stream %s is not found: %s", stream, advice)
		}
	}
	return err
}

func (what showing) events(ctx context.Context, c *call, reader *eventstore.Reader) error {
	options := []eventstore.ReadOption{eventstore.AsRaw(), eventstore.MustExist(), eventstore.FromVersion(what.from)}
	if what.to > 0 {
		options = append(options, eventstore.ToVersion(what.to))
	}
	if what.backwards {
		options = append(options, eventstore.Backwards())
	}
	for event, err := range reader.Read(ctx, options...) {
		if err != nil {
			return err
		}
		raw := rawOf(event.Data)
		if !isOneOf(what.types, raw.Type) {
			continue
		}
		switch {
		case what.raw:
			c.printRaw(raw.Payload)
		case what.format == asJSON:
			if err := c.json(lineOf(reader.Stream(), event)); err != nil {
				return err
			}
		default:
			c.data(fmt.Sprintf("%d  %s  %s", event.Version, shownTime(event.Metadata.Message.Created), typeOf(raw)))
			c.printMetadata(event.Metadata)
			c.printPayload(raw)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (what showing) snapshot(ctx context.Context, c *call, reader *eventstore.Reader) error {
	snapshot, err := reader.LastSnapshot(ctx, eventstore.ToVersion(what.at), eventstore.AsRaw(), eventstore.MustExist())
	if err != nil {
		return err
	}
	raw := rawOf(snapshot.Data)
	switch {
	case what.raw:
		c.printRaw(raw.Payload)
	case what.format == asJSON:
		line := eventLine{Stream: reader.Stream().String(), Version: snapshot.Version, What: "snapshot", Time: timeOrNil(snapshot.Created)}
		if len(snapshot.Custom) > 0 {
			line.Metadata = &eventstore.Metadata{Custom: snapshot.Custom}
		}
		line.hold(raw)
		return c.json(line)
	default:
		c.data(fmt.Sprintf("snapshot at %d  %s  %s", snapshot.Version, shownTime(snapshot.Created), typeOf(raw)))
		c.printMetadata(eventstore.Metadata{Custom: snapshot.Custom})
		c.printPayload(raw)
	}
	return nil
}

// printRaw prints a payload as it is stored, unless it goes to a terminal.
func (c *call) printRaw(payload []byte) {
	if isTerminal(raw(c.stdout)) {
		c.printPayload(eventstore.Raw{Payload: payload})
		return
	}
	c.bytes(append(payload[:len(payload):len(payload)], '\n'))
}

// typeOf returns the type of an event with its schema version, if that is not the first.
func typeOf(raw eventstore.Raw) string {
	if raw.SchemaVersion > 1 {
		return fmt.Sprintf("%s (schema %d)", raw.Type, raw.SchemaVersion)
	}
	return raw.Type
}

// isOneOf reports whether a value is wanted. None that are named means all.
func isOneOf(wanted []string, value string) bool {
	return len(wanted) == 0 || slices.Contains(wanted, value)
}
