package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/internal/legible"
)

const (
	shownBytes = 16 << 10 // how much of a payload a page shows
	shownLine  = 140      // how many characters of it are on a line
)

// payload is data as a page shows it.
type payload struct {
	Shape string // the type with its schema version, if that is not the first
	Kind  string // how it is shown: "JSON", "text" or "bytes"
	About string // its size and content type
	Line  string // the beginning
	Text  string // all of it, or the beginning if Cut is set
	Cut   bool
}

// payloadOf returns what is shown of data that was read with AsRaw.
func payloadOf(data any) payload {
	raw, _ := data.(eventstore.Raw)
	p := payload{Shape: visible(raw.Type), About: sizeOf(len(raw.Payload))}
	if raw.SchemaVersion > 1 {
		p.Shape += fmt.Sprintf(" (schema %d)", raw.SchemaVersion)
	}
	if raw.ContentType != "" {
		p.About += ", " + visible(raw.ContentType)
	}
	shown := raw.Payload
	if p.Cut = len(shown) > shownBytes; p.Cut {
		shown = whole(shown[:shownBytes])
	}
	switch {
	case len(shown) == 0:
		p.Kind = "bytes"
		return p
	case !p.Cut && legible.IsJSON(shown):
		var line bytes.Buffer
		_ = json.Compact(&line, shown)
		p.Kind, p.Line, p.Text = "JSON", line.String(), legible.Indent(shown)
	case utf8.Valid(shown) && !bytes.ContainsRune(shown, 0):
		p.Kind, p.Line, p.Text = "text", string(shown), string(shown)
	default:
		p.Kind, p.Text = "bytes", hexDump(shown[:min(len(shown), 1<<10)])
		p.Line, p.Cut = "("+p.About+")", len(raw.Payload) > 1<<10
	}
	p.Line, p.Text = visible(shortened(p.Line)), visible(p.Text)
	return p
}

// whole cuts off a character that is not complete.
func whole(text []byte) []byte {
	for i := 1; i < utf8.UTFMax && i < len(text); i++ {
		if last := text[len(text)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return text[:len(text)-i]
			}
			break
		}
	}
	return text
}

// shortened returns the beginning of a text, on one line.
func shortened(text string) string {
	line := strings.Join(strings.Fields(string(whole([]byte(text[:min(len(text), 4*shownLine)])))), " ")
	if runes := []rune(line); len(runes) > shownLine || len(text) > 4*shownLine {
		return string(runes[:min(len(runes), shownLine)]) + "…"
	}
	return line
}

// hexDump returns bytes for people, 16 on a line.
func hexDump(b []byte) string {
	var out strings.Builder
	for i := 0; i < len(b); i += 16 {
		fmt.Fprintf(&out, "%04x  % x\n", i, b[i:min(len(b), i+16)])
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func sizeOf(n int) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
