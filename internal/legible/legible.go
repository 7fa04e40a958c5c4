// Package legible makes stored data safe to look at. Anyone may have written it.
package legible

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text returns a text in which Go's escapes stand for what cannot be printed: control characters,
// invalid UTF-8, and marks that turn the direction of text. The characters of stays are left.
func Text(text, stays string) string {
	plain := func(r rune) bool { return strconv.IsPrint(r) || strings.ContainsRune(stays, r) }
	if utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[i])|0x100, 16)[1:])
		case !plain(r):
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(text[i : i+size])
		}
		i += size
	}
	return b.String()
}

// IsJSON reports whether a payload is JSON that comes out of an encoder as it is.
func IsJSON(payload []byte) bool { return utf8.Valid(payload) && json.Valid(payload) }

// deepest is down to which level JSON is indented. Below that, the spaces of a payload of 16 KiB
// could fill 100 MiB.
const deepest = 32

// Indent returns JSON with a line for each value, or on one line if it is very deep.
func Indent(payload []byte) string {
	var b bytes.Buffer
	if depth(payload) > deepest {
		_ = json.Compact(&b, payload)
	} else {
		_ = json.Indent(&b, payload, "", "  ")
	}
	return b.String()
}

// depth returns how many levels JSON has.
func depth(payload []byte) (most int) {
	level, quoted := 0, false
	for i := 0; i < len(payload); i++ {
		switch c := payload[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '[' || c == '{':
			level++
			most = max(most, level)
		case c == ']' || c == '}':
			level--
		}
	}
	return most
}
