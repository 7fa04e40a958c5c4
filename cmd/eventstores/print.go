package main

import (
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// printer is what all output goes through. What is printed comes from elsewhere as well: from stored data, component
// files, names of files and answers of servers. So each Write is one line, in which nothing moves the cursor, colours the
// terminal, begins a line of its own or gives a command to a build server; and passwords that are known are left out. It is
// safe for concurrent use.
type printer struct {
	mu     sync.Mutex
	w      io.Writer
	hidden *strings.Replacer // nil: nothing is hidden
}

// Write prints p as one line, with the newline with which it ends, if any.
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
	if _, err := p.w.Write([]byte(harmless(text) + end)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// text prints a text of this program, which has lines of its own.
func text(w io.Writer, s string) {
	_, _ = io.WriteString(raw(w), s)
}

// raw is the writer below a printer, for what is not text: the meter's bar.
func raw(w io.Writer) io.Writer {
	if p, ok := w.(*printer); ok {
		return p.w
	}
	return w
}

// shortest is how long a password must be to be looked for: one that is shorter would be found in much that is none.
const shortest = 4

// hide keeps secrets out of all that is printed from now on, as they are and as Go and URLs quote them.
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
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // one may be the beginning of another
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

// harmless returns a text with all that is no printable character as Go escapes it. What build servers take for commands, ##[ or
// ##vso[ anywhere and :: where a line begins, is broken up in the same way.
func harmless(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[i])|0x100, 16)[1:])
		case !strconv.IsPrint(r):
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		case r == '#' && strings.HasPrefix(text[i:], "##"), r == ':' && strings.HasPrefix(text[i:], "::") && strings.TrimSpace(text[:i]) == "":
			b.WriteString(`\x` + strconv.FormatUint(uint64(r), 16))
		default:
			b.WriteString(text[i : i+size])
		}
		i += size
	}
	return b.String()
}
