package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

const traceUsage = `Usage: eventstores trace --store <store> <event-id>

Prints what caused an event, and what it caused, as a tree over all streams. An event is named by its id,
or as stream/version. The metadata of an event has the id of what caused it: CausationID. The tree ends
above at a cause that is no event, such as a request.

A store has no index of metadata, so the command reads the feed: from its end back to the event and its
causes, and from the time of the event to the end. It first says how much that is. Ctrl+C stops it.

The tree holds up to 100,000 events. From level 20 on, lines begin with their level instead of more
space.

` + aboutFeeds + `
` + aboutStores + `
With --output json it prints one JSON object for each event, with its depth in the tree, from which
payloads are left out.

The exit code is 0, or 1 if the feed has no such event or cannot be read. It is 2 for wrong arguments.
`

// tracing is what the command trace is asked to do.
type tracing struct {
	feedFlags
	format
}

func traceCommand(c *call) *cobra.Command {
	var what tracing
	cmd := newCommand("trace", "show what caused an event, and what it caused", traceUsage, func(cmd *cobra.Command, args []string) error {
		return what.run(cmd.Context(), c, args)
	})
	what.flags(cmd.Flags())
	what.outputFlag(cmd)
	return cmd
}

func (what tracing) run(ctx context.Context, c *call, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return wrong(errors.New("name one event by its id"))
	}
	f, m, done, err := what.openToSearch(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	end, err := f.End(ctx)
	if err != nil {
		return err
	}
	m.note(fmt.Sprintf("The command reads up to %d commits of the feed, some of them twice. Ctrl+C stops it.", end))
	t := newTracer(f, m, args[0])
	if err := t.trace(ctx); err != nil {
		return err
	}
	if t.isFull() {
		m.note(fmt.Sprintf("The tree is full with %d events. There may be more.", t.most))
	}
	m.end()
	return what.print(ctx, c, t)
}

// cause is an event in the tree of causes.
type cause struct {
	item   feed.Item // without its payload
	caused []*cause
}

// tracer finds what an event was caused by, and what it caused.
type tracer struct {
	f *feed.Feed
	m *meter

	want   string            // the id of an event to find: the last cause that is known
	place  string            // the event that was asked for, if its id is a place
	chain  []*cause          // the event, and what caused it, and what caused that, …
	causes map[string]bool   // the ids of the events of the chain
	byID   map[string]*cause // the event and what it caused, by both ids
	size   int               // how many events are known
	most   int               // how many may be
	passed int64
}

// maxTree is how many events a tree holds.
const maxTree = 100_000

func newTracer(f *feed.Feed, m *meter, id string) *tracer {
	return &tracer{f: f, m: m, want: id, place: placeOf(id), causes: map[string]bool{}, byID: map[string]*cause{}, most: maxTree}
}

// isFull reports whether the tree holds no more events.
func (t *tracer) isFull() bool { return t.size >= t.most }

// ids returns the names under which an event can be a cause: its own id, and its place.
func (c *cause) ids() []string { return []string{c.item.Event.Metadata.Message.ID, c.item.ID()} }

func (c *cause) causation() string { return c.item.Event.Metadata.Context.CausationID }

// slack is by how much the clocks of processes may differ.
const slack = time.Minute

func (t *tracer) trace(ctx context.Context) error {
	if err := t.back(ctx); err != nil {
		return err
	}
	if len(t.chain) == 0 {
		return errors.New("the feed has no event with this id")
	}
	began := timeOf(t.chain[0].item)
	if began.IsZero() {
		return t.forward(ctx)
	}
	return t.forward(ctx, feed.Since(began.Add(-slack)))
}

// back looks for the event and for its causes, which are older.
func (t *tracer) back(ctx context.Context) error {
	for item, err := range t.f.Read(ctx, feed.AsRaw(), feed.Backwards()) {
		if err != nil {
			return err
		}
		t.tick()
		if t.climb(item); t.want == "" || t.isFull() {
			break
		}
	}
	return nil
}

// climb adds an item to the chain if it is the next cause.
func (t *tracer) climb(item feed.Item) {
	if item.What != feed.Appended || t.want == "" || t.isFull() {
		return
	}
	found := newCause(item)
	if !slices.Contains(found.ids(), t.want) && (len(t.chain) > 0 || item.ID() != t.place) {
		return
	}
	t.chain = append(t.chain, found)
	t.size++
	for _, id := range found.ids() {
		t.causes[id] = id != ""
	}
	if t.want = found.causation(); t.isKnown(t.want) {
		t.want = "" // events that name each other as their cause
	}
	if len(t.chain) == 1 {
		t.learn(found)
	}
}

// isKnown reports whether an id is one of the events of the chain.
func (t *tracer) isKnown(id string) bool { return t.causes[id] }

// forward looks for what the event caused, and for causes that come later in the feed, whose order
// is not that of time. It looks again as long as it finds something.
func (t *tracer) forward(ctx context.Context, options ...feed.ReadOption) error {
	for !t.isFull() {
		caused, causes := len(t.byID), len(t.chain)
		for item, err := range t.f.Read(ctx, append(options, feed.AsRaw())...) {
			if err != nil {
				return err
			}
			t.tick()
			t.climb(item)
			if item.What != feed.Appended || t.byID[item.ID()] != nil || t.isKnown(item.ID()) {
				continue
			}
			if by := t.byID[item.Event.Metadata.Context.CausationID]; by != nil {
				found := newCause(item)
				by.caused = append(by.caused, found)
				t.learn(found)
				if t.size++; t.isFull() {
					return nil
				}
			}
		}
		if len(t.chain) > causes && t.want != "" {
			if err := t.back(ctx); err != nil {
				return err
			}
		}
		if len(t.byID) == caused && len(t.chain) == causes {
			return nil
		}
	}
	return nil
}

func (t *tracer) learn(c *cause) {
	for _, id := range c.ids() {
		if id != "" && t.byID[id] == nil {
			t.byID[id] = c
		}
	}
}

func (t *tracer) tick() {
	t.passed++
	t.m.reach(t.passed, 0, "events read")
}

// newCause returns an item for the tree. It forgets the payload, which may be large.
func newCause(item feed.Item) *cause {
	raw := rawOf(item.Event.Data)
	raw.Payload = nil
	item.Event.Data = raw
	return &cause{item: item}
}

// tracedLine is an event of the tree in JSON.
type tracedLine struct {
	Depth int `json:"depth"`
	eventLine
}

func (what tracing) print(ctx context.Context, c *call, t *tracer) error {
	depth := 0
	if t.want != "" {
		if what.format == asText {
			why := "no event of the feed"
			if t.isFull() {
				why = "not looked for"
			}
			c.data(t.want + "  (" + why + ")")
		}
		depth++
	}
	for i := len(t.chain) - 1; i > 0; i-- {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := what.printCause(c, t.chain[i], branch(depth), depth, false); err != nil {
			return err
		}
		depth++
	}
	return what.printTree(ctx, c, t.chain[0], strings.Repeat("   ", min(depth, maxIndent)), branch(depth), depth, true)
}

// maxIndent is from which level on lines are not indented more. They tell their level instead.
const maxIndent = 20

// branch returns what stands before an event that is the only one that its cause has.
func branch(depth int) string {
	if depth == 0 {
		return ""
	}
	return strings.Repeat("   ", min(depth, maxIndent)-1) + "└─ " + atLevel(depth)
}

// atLevel returns what a line says about its level, if its indentation does not.
func atLevel(depth int) string {
	if depth < maxIndent {
		return ""
	}
	return fmt.Sprintf("(level %d) ", depth)
}

// printTree prints an event and what it caused. The argument first stands before its own line,
// indent before the lines of what it caused.
func (what tracing) printTree(ctx context.Context, c *call, at *cause, indent, first string, depth int, asked bool) error {
	if err := what.printCause(c, at, first, depth, asked); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i, next := range at.caused {
		line, below := "├─ ", "│  "
		if i == len(at.caused)-1 {
			line, below = "└─ ", "   "
		}
		if depth >= maxIndent {
			below = ""
		}
		if err := what.printTree(ctx, c, next, indent+below, indent+line+atLevel(depth+1), depth+1, false); err != nil {
			return err
		}
	}
	return nil
}

func (what tracing) printCause(c *call, at *cause, before string, depth int, asked bool) error {
	item := at.item
	if what.format == asJSON {
		line := tracedLine{depth, lineOf(item.Stream, item.Event)}
		line.Position, line.What, line.Text = item.Position, item.What.String(), nil
		return c.json(line)
	}
	line := before + describeCause(item)
	if asked {
		line += "  ◀"
	}
	c.data(line)
	return nil
}

func describeCause(item feed.Item) string {
	raw, _ := item.Event.Data.(eventstore.Raw)
	return fmt.Sprintf("%s  %s  %d  %s  id=%s", shownTime(timeOf(item)), readable(item.Stream), item.Version, typeOf(raw), item.Event.Metadata.Message.ID)
}
