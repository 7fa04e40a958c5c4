package main

import (
	"regexp"
	"strings"
	"unicode"
)

// sentence is one sentence of a block.
type sentence struct {
	line  int    // of its first word, from 0 in the lines that were parsed
	words int    // a code span, a link's text word by word, and a URL count
	text  string // without markup; code spans are made unreadable
}

// abbreviations end in a full stop that ends no sentence.
var abbreviations = map[string]bool{
	"e.g.": true, "i.e.": true, "cf.": true, "vs.": true, "approx.": true, "resp.": true, "incl.": true,
}

// removed stands where markup was: a space would make two words of one.
const removed = '\x00'

var (
	codeSpan  = regexp.MustCompile("``[^`]+(?:`[^`]+)*``|`[^`]+`")
	reference = regexp.MustCompile(`\]\[[^\]]*\]`)
	image     = regexp.MustCompile(`!\[[^\]]*\]\([^)]*\)`)
)

// plain returns a text of as many lines without markup. A code span becomes one word on each line.
func plain(text string) string {
	fill := func(with rune) func(string) string {
		return func(s string) string {
			return strings.Map(func(r rune) rune {
				if r == '\n' {
					return r
				}
				return with
			}, s)
		}
	}
	text = codeSpan.ReplaceAllStringFunc(text, fill('x'))
	text = image.ReplaceAllStringFunc(text, fill(removed))
	text = destination.ReplaceAllStringFunc(text, fill(removed))
	text = reference.ReplaceAllStringFunc(text, fill(removed))
	return strings.Map(func(r rune) rune {
		if r == '[' || r == ']' || r == '*' {
			return removed
		}
		return r
	}, text)
}

// sentences splits a block into its sentences. The end of a block ends a sentence in any case.
func (b block) sentences() []sentence {
	lines := strings.Split(plain(strings.Join(b.text, "\n")), "\n")
	var all []sentence
	var current sentence
	var words []string
	finish := func() {
		if current.words > 0 {
			current.text = strings.Join(words, " ")
			all = append(all, current)
		}
		current, words = sentence{}, nil
	}
	for n, line := range lines {
		tokens := tokensOf(line)
		for i, token := range tokens {
			if len(words) == 0 {
				current.line = b.lines[n]
			}
			words = append(words, token)
			if strings.ContainsFunc(token, isWordRune) {
				current.words++
			}
			following := tokens[i+1:]
			if len(following) == 0 && n+1 < len(lines) {
				following = tokensOf(lines[n+1])
			}
			if endsSentence(token, strings.Join(following[:min(1, len(following))], "")) {
				finish()
			}
		}
	}
	finish()
	return all
}

// tokensOf returns what spaces separate on a line, without what markup left.
func tokensOf(line string) []string {
	var tokens []string
	for token := range strings.FieldsSeq(line) {
		if token = strings.ReplaceAll(token, string(removed), ""); token != "" {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// endsSentence reports whether a token ends a sentence, which depends on the one that follows.
func endsSentence(token, following string) bool {
	token = strings.TrimRight(token, `)"'”’_`)
	following = strings.TrimLeft(following, `("'“‘_`)
	switch {
	case strings.HasSuffix(token, "!"), strings.HasSuffix(token, "?"):
		return true
	case strings.HasSuffix(token, "..."), strings.HasSuffix(token, "…"):
		return beginsLarge(following) && strings.ContainsFunc(token, isWordRune)
	case !strings.HasSuffix(token, "."):
		return false
	case abbreviations[strings.ToLower(strings.TrimLeft(token, `("'“‘_`))]:
		return false
	case strings.EqualFold(token, "etc."), strings.EqualFold(token, "no."):
		return beginsLarge(following)
	}
	return strings.ContainsFunc(token, isWordRune)
}

func beginsLarge(token string) bool {
	for _, r := range token {
		return unicode.IsUpper(r)
	}
	return true
}
