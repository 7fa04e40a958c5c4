package main

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// printItem prints an item of a feed that was read as it is stored. For people it is one line, on
// which a long payload is shortened.
func (c *call) printItem(as format, item feed.Item) error {
	if as == asJSON {
		line := eventLine{Stream: item.Stream.String(), Version: item.Version}
		if item.Err == nil && item.What == feed.Appended {
			line = lineOf(item.Stream, item.Event)
		}
		line.Position, line.What = item.Position, item.What.String()
		if !item.Time.IsZero() {
			line.Time = timeOrNil(item.Time)
		}
		if item.Err != nil {
			line.Error = c.hidden(item.Err.Error())
		}
		return c.json(line)
	}
	line := fmt.Sprintf("%s  %s  %d  ", shownTime(item.Time), readable(item.Stream), item.Version)
	switch {
	case item.What != feed.Appended && item.Err == nil:
		line += "(" + item.What.String() + ")"
	case item.Err != nil:
		line += "(" + item.What.String() + ": " + c.hidden(item.Err.Error()) + ")"
	default:
		raw := rawOf(item.Event.Data)
		line += typeOf(raw) + "  " + oneLine(raw)
	}
	c.data(line)
	return nil
}
