package main

import (
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hexalith/eventstores-go/internal/legible"
)

// printer filters all output. Printed text also comes from outside: stored data, component files,
// file names and answers of servers. Each Write prints one line, in which nothing moves the cursor,
// colours the terminal, starts another line or gives a command to a build server. It replaces known
// passwords. It is safe for concurrent use.
type printer struct {
	mu     sync.Mutex
	w      io.Writer
	hidden *strings.Replacer // nil: nothing is hidden
	failed func(error)       // nil, or told why nothing can be written any more
}

// printError says that standard output cannot be written.
type printError struct{ error }

// Write prints p as one line, with its final newline, if any.
func (p *printer) Write(line []byte) (int, error) {
	text, end := string(line), ""
	if cut, ok := strings.CutSuffix(text, "\n"); ok {
		text, end = cut, "\n"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hidden != nil {
		text = p.hidden.Replace(text)
	}
	if err := p.write([]byte(harmless(text) + end)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func (p *printer) write(b []byte) error {
	_, err := p.w.Write(b)
	if err != nil && p.failed != nil {
		p.failed(printError{err})
	}
	return err
}

// data prints a line of stored data. It does not replace passwords, because one that is short may
// occur in data.
func (c *call) data(line string) { c.bytes([]byte(harmless(line) + "\n")) }

// bytes prints what is harmless.
func (c *call) bytes(b []byte) {
	if p, ok := c.stdout.(*printer); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = p.write(b)
		return
	}
	_, _ = c.stdout.Write(b)
}

// text prints a text of this program, which may have several lines.
func text(w io.Writer, s string) {
	_, _ = io.WriteString(raw(w), s)
}

// raw returns the writer below a printer, for output that is not text: the meter's bar.
func raw(w io.Writer) io.Writer {
	if p, ok := w.(*printer); ok {
		return p.w
	}
	return w
}

// shortest is the minimum length of a password to hide. A shorter one would occur in ordinary text.
const shortest = 4

// hide replaces secrets in all later output, both as they are and as Go and URLs quote them.
func (c *call) hide(secrets ...string) {
	var forms, pairs []string
	for _, secret := range secrets {
		if len(secret) >= shortest {
			quoted := strconv.Quote(secret)
			forms = append(forms, secret, quoted[1:len(quoted)-1], url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()[1:])
		}
	}
	if len(forms) == 0 {
		return
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // one may be a prefix of another
	for _, form := range forms {
		pairs = append(pairs, form, "***")
	}
	for _, w := range []io.Writer{c.stdout, c.stderr} {
		if p, ok := w.(*printer); ok {
			p.mu.Lock()
			p.hidden = strings.NewReplacer(pairs...)
			p.mu.Unlock()
		}
	}
}

// hidden replaces secrets in a text that is printed as part of JSON.
func (c *call) hidden(text string) string {
	if p, ok := c.stdout.(*printer); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.hidden != nil {
			return p.hidden.Replace(text)
		}
	}
	return text
}

// harmless escapes all unprintable characters as Go does. It also escapes what build servers take
// for commands: ##[ or ##vso[ anywhere, and :: at the start of a line.
func harmless(text string) string {
	text = legible.Text(text, "")
	for strings.Contains(text, "##") {
		text = strings.ReplaceAll(text, "##", `\x23#`)
	}
	if command := strings.TrimLeft(text, " "); strings.HasPrefix(command, "::") {
		text = text[:len(text)-len(command)] + `\x3a` + command[1:]
	}
	return text
}
