package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// format is how a command prints what it has found: as text for people, or as one JSON object on
// each line.
type format string

const (
	asText format = "text"
	asJSON format = "json"
)

// aboutOutput is part of the usage of commands.
const aboutOutput = `With --output json it prints one JSON object for each line.
`

// outputFlag adds the flag --output to a command.
func (f *format) outputFlag(cmd *cobra.Command) {
	*f = asText
	cmd.Flags().VarP(f, "output", "o", "the `format` of what is printed: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{string(asText), string(asJSON)}, cobra.ShellCompDirectiveNoFileComp))
}

// String implements [pflag.Value].
func (f *format) String() string { return string(*f) }

// Type implements [pflag.Value].
func (f *format) Type() string { return "format" }

// Set implements [pflag.Value].
func (f *format) Set(value string) error {
	if *f = format(value); *f != asText && *f != asJSON {
		return errors.New("it must be text or json")
	}
	return nil
}

// json prints a value as one line of JSON.
func (c *call) json(value any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	c.bytes([]byte(harmlessJSON(strings.TrimSuffix(b.String(), "\n")) + "\n"))
	return nil
}

// say prints a result: a line of text, or a value as a line of JSON.
func (c *call) say(as format, text string, value any) {
	if as == asJSON {
		_ = c.json(value) // which has no values that cannot be encoded
		return
	}
	fmt.Fprintln(c.stdout, text)
}

// resultLine is what came of a stream in JSON. Commands add what they have counted.
type resultLine struct {
	Stream string `json:"stream,omitempty"` // empty for a line of a file that names none
	Result string `json:"result"`           // "copied", "sound", …
	Error  string `json:"error,omitempty"`
}

// harmlessJSON does for JSON what [harmless] does for text. What it escapes can occur only in
// strings.
func harmlessJSON(text string) string {
	if !strings.Contains(text, "##") && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == '#' && strings.HasPrefix(text[i:], "##"):
			b.WriteString(`\u0023`)
		case !strconv.IsPrint(r):
			for _, unit := range utf16.Encode([]rune{r}) {
				b.WriteString(`\u` + strconv.FormatUint(uint64(unit)|0x10000, 16)[1:])
			}
		default:
			b.WriteString(text[i : i+size])
		}
		i += size
	}
	return b.String()
}
