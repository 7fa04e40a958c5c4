package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/internal/legible"
)

// eventLine is an event, or another thing that happened to a stream, in JSON. One of Payload, Text
// and Base64 is set.
type eventLine struct {
	Stream        string               `json:"stream"`
	Version       int64                `json:"version"`
	Position      feed.Position        `json:"position,omitempty"`
	What          string               `json:"what,omitempty"`
	Time          *time.Time           `json:"time,omitempty"`
	Type          string               `json:"type,omitempty"`
	SchemaVersion int                  `json:"schemaVersion,omitempty"`
	ContentType   string               `json:"contentType,omitempty"`
	Metadata      *eventstore.Metadata `json:"metadata,omitempty"`
	Payload       json.RawMessage      `json:"payload,omitempty"`
	Text          *string              `json:"text,omitempty"`
	Base64        *string              `json:"base64,omitempty"`
	Error         string               `json:"error,omitempty"`
}

// lineOf returns an event that was read as it is stored.
func lineOf(stream eventstore.Stream, event eventstore.Event) eventLine {
	created := event.Metadata.Message.Created
	line := eventLine{Stream: stream.String(), Version: event.Version, Time: timeOrNil(created), Metadata: &event.Metadata}
	line.hold(rawOf(event.Data))
	return line
}

// hold sets the fields of a payload.
func (line *eventLine) hold(raw eventstore.Raw) {
	line.Type, line.SchemaVersion, line.ContentType = raw.Type, raw.SchemaVersion, raw.ContentType
	switch {
	case legible.IsJSON(raw.Payload):
		line.Payload = raw.Payload
	case utf8.Valid(raw.Payload):
		text := string(raw.Payload)
		line.Text = &text
	default:
		text := base64.StdEncoding.EncodeToString(raw.Payload)
		line.Base64 = &text
	}
}

// rawOf returns data that was read with AsRaw.
func rawOf(data any) eventstore.Raw {
	raw, _ := data.(eventstore.Raw)
	return raw
}

// oneLine returns a payload on one line, shortened.
func oneLine(raw eventstore.Raw) string {
	const most = 160
	text := ""
	switch {
	case len(raw.Payload) == 0:
		return ""
	case legible.IsJSON(raw.Payload):
		var b bytes.Buffer
		_ = json.Compact(&b, raw.Payload)
		text = b.String()
	case utf8.Valid(raw.Payload):
		text = string(raw.Payload)
	default:
		return fmt.Sprintf("(%d bytes of %s)", len(raw.Payload), contentType(raw))
	}
	if runes := []rune(text[:min(len(text), 4*most)]); len(runes) > most || len(text) > 4*most {
		text = string(runes[:min(most, len(runes))]) + "…"
	}
	return text
}

func contentType(raw eventstore.Raw) string {
	if raw.ContentType == "" {
		return "an unknown type"
	}
	return raw.ContentType
}

// printPayload prints a payload for people, on as many lines as it takes.
func (c *call) printPayload(raw eventstore.Raw) {
	const indent = "    "
	text := ""
	switch {
	case len(raw.Payload) == 0:
		return
	case legible.IsJSON(raw.Payload):
		text = legible.Indent(raw.Payload)
	case utf8.Valid(raw.Payload):
		text = string(raw.Payload)
	default:
		c.data(indent + fmt.Sprintf("%d bytes of %s, in base64:", len(raw.Payload), contentType(raw)))
		text = base64.StdEncoding.EncodeToString(raw.Payload)
	}
	for line := range strings.Lines(text) {
		c.data(indent + strings.TrimSuffix(line, "\n"))
	}
}

// printMetadata prints what goes with an event for people, each on a line.
func (c *call) printMetadata(m eventstore.Metadata) {
	say := func(name, value string) {
		if value != "" {
			c.data(fmt.Sprintf("    %-12s %s", name, value))
		}
	}
	say("id", m.Message.ID)
	say("correlation", m.Context.CorrelationID)
	say("causation", m.Context.CausationID)
	say("user", m.Context.UserID)
	say("session", m.Context.SessionID)
	say("idempotency", m.Context.IdempotencyID)
	say("scopes", strings.Join(m.Context.Scopes, " "))
	if t := m.Context.Timestamp; !t.IsZero() && !t.Equal(m.Message.Created) {
		say("happened", shownTime(t))
	}
	names := make([]string, 0, len(m.Custom))
	for name := range m.Custom {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		say("custom", name+" = "+m.Custom[name])
	}
}
