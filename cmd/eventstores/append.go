package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/internal/legible"
)

const appendUsage = `Usage: eventstores append --store <store> --type T --data <data> --expect <version> [--yes] <stream>

Appends one event by hand, for repairs. It shows what it is about to do and asks. With --yes it does not
ask.

The data is @file, @- for standard input, or the payload itself. Unless --content-type says otherwise, it
must be JSON. --expect is the version that the stream must have, 0 for a new one, or "any". The services
decode the event as their own, so type, schema version and payload must be as they write them.

The metadata of the event has the user, by default the one of this process, and appendedBy, which says
that this command wrote it. If the store has a feed, the event enters it.

` + aboutFeeds + `
` + aboutStores + `
The exit code is 0 if the event was appended, otherwise 1. It is 2 for wrong arguments.
`

// appending is what the command append is asked to do.
type appending struct {
	feedFlags
	names
	format
	event       eventstore.Raw
	data        string
	hasData     bool // even if it is empty
	expect      string
	yes         bool
	about       eventstore.ContextMetadata
	stream      eventstore.Stream
	expected    eventstore.Expected
	expectation string
}

func appendCommand(c *call) *cobra.Command {
	var what appending
	cmd := newCommand("append", "append one event by hand", appendUsage, func(cmd *cobra.Command, args []string) error {
		what.hasData = cmd.Flags().Changed("data")
		return what.run(cmd.Context(), c, args)
	})
	flags := cmd.Flags()
	what.feedFlags.flags(flags)
	what.databaseFlag(flags)
	what.outputFlag(cmd)
	flags.StringVar(&what.event.Type, "type", "", "the `type` of the event")
	flags.IntVar(&what.event.SchemaVersion, "schema-version", 1, "the `version` of the type's schema")
	flags.StringVar(&what.event.ContentType, "content-type", jsonType, "the content `type` of the payload")
	flags.StringVar(&what.data, "data", "", "the `payload`, or @file, or @- for standard input")
	flags.StringVar(&what.expect, "expect", "", "the `version` that the stream must have, or any")
	flags.BoolVar(&what.yes, "yes", false, "do not ask")
	flags.StringVar(&what.about.UserID, "user", "", "the `id` of the user who does it; by default the user of this process")
	flags.StringVar(&what.about.CorrelationID, "correlation", "", "the correlation `id` of the event")
	flags.StringVar(&what.about.CausationID, "causation", "", "the causation `id` of the event")
	flags.StringVar(&what.about.IdempotencyID, "idempotency-id", "", "an `id` that can be used once in the stream, so that a repeat has no effect")
	return cmd
}

const jsonType = "application/json"

func (what *appending) run(ctx context.Context, c *call, args []string) (err error) {
	if what.stream, err = what.one(args); err != nil {
		return wrong(err)
	}
	if err := what.check(c); err != nil {
		return wrong(err)
	}
	s, err := what.named(c, mending)
	if err != nil {
		return err
	}
	o, err := s.openWith(ctx, warnings(c))
	if err != nil {
		return err
	}
	defer o.close()
	provider, closeFeed, err := what.provider(ctx, o, warnings(c))
	if err != nil {
		return err
	}
	defer closeFeed()
	if !what.yes {
		if err := what.ask(ctx, c, s, provider); err != nil {
			return err
		}
	}
	return what.append(ctx, c, provider)
}

// check completes and checks the arguments.
func (what *appending) check(c *call) (err error) {
	switch {
	case what.event.Type == "":
		return errors.New("--type is missing")
	case what.event.SchemaVersion < 1:
		return errors.New("--schema-version must be positive")
	case what.expect == "":
		return errors.New("--expect is missing: give the version that the stream must have, or any")
	case !what.hasData:
		return errors.New("--data is missing")
	case what.data == "@-" && !what.yes:
		return errors.New("--data @- needs --yes, because the answer cannot come from standard input, too")
	}
	what.expected, what.expectation = eventstore.ExpectAny(), "any version"
	if what.expect != "any" {
		version, err := strconv.ParseInt(what.expect, 10, 64)
		if err != nil || version < 0 {
			return errors.New("--expect must be a version, or any")
		}
		what.expected, what.expectation = eventstore.ExpectVersion(version), fmt.Sprintf("version %d", version)
	}
	switch file, isFile := strings.CutPrefix(what.data, "@"); {
	case what.data == "@-":
		what.event.Payload, err = io.ReadAll(c.stdin)
	case isFile:
		what.event.Payload, err = os.ReadFile(file)
	default:
		what.event.Payload = []byte(what.data)
	}
	if err != nil {
		return err
	}
	if what.event.ContentType == jsonType && !legible.IsJSON(what.event.Payload) {
		return errors.New("the data is not JSON; say what it is with --content-type")
	}
	if what.about.UserID == "" {
		if self, err := user.Current(); err == nil {
			what.about.UserID = self.Username
		}
	}
	return nil
}

// provider returns a provider with the feed of the store, if it has one.
func (what *appending) provider(ctx context.Context, o opened, log *slog.Logger) (*eventstore.Provider, func(), error) {
	f, err := what.openOn(ctx, o, log)
	if errors.Is(err, errNoFeed) {
		provider, err := o.provider(log)
		return provider, func() {}, err
	} else if err != nil {
		return nil, nil, err
	}
	return f.Provider(), func() { closeProvider(ctx, f.Provider(), log) }, nil
}

// ask shows what is about to be done and returns an error unless the user agrees.
func (what *appending) ask(ctx context.Context, c *call, s store, provider *eventstore.Provider) error {
	version, err := provider.Reader(what.stream).Version(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "store    %s\n", s.name)
	fmt.Fprintf(c.stderr, "stream   %s, now at version %d; expected: %s\n", what.stream, version, what.expectation)
	fmt.Fprintf(c.stderr, "event    %s, %s, %d bytes\n", typeOf(what.event), what.event.ContentType, len(what.event.Payload))
	fmt.Fprintf(c.stderr, "user     %s\n", what.about.UserID)
	return c.confirm(ctx, "Append this event?")
}

func (what *appending) append(ctx context.Context, c *call, provider *eventstore.Provider) error {
	id := uuid.Must(uuid.NewV7()).String()
	version, err := provider.Append(ctx, what.stream, what.expected, eventstore.Event{Data: what.event, Metadata: eventstore.Metadata{
		Message: eventstore.MessageMetadata{ID: id}, Context: what.about, Custom: map[string]string{"appendedBy": "eventstores append"},
	}})
	if unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](err); ok { // a command that was stopped says so, too
		return fmt.Errorf("the event may or may not have been appended (%v); see whether eventstores show prints one with id %s", unknown.Cause, id)
	} else if err != nil {
		return err
	}
	if what.format == asJSON {
		return c.json(eventLine{Stream: what.stream.String(), Version: version, What: "appended", Type: what.event.Type,
			Metadata: &eventstore.Metadata{Message: eventstore.MessageMetadata{ID: id}, Context: what.about}})
	}
	c.data(fmt.Sprintf("appended %s version=%d id=%s", what.stream, version, id))
	return nil
}
