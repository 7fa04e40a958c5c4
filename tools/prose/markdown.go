package main

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// block is a paragraph, or an item of a list.
type block struct {
	lines []int // of each line of text, its number from 0
	text  []string
}

var (
	fence      = regexp.MustCompile("^\\s*(```+|~~~+)")
	listItem   = regexp.MustCompile(`^\s*(?:[-*+]|\d+[.)])\s+`)
	heading    = regexp.MustCompile(`^ {0,3}#{1,6}(?: |$)`)
	definition = regexp.MustCompile(`^\s*\[[^\]]+\]:\s`)
	tableRow   = regexp.MustCompile(`^\s*\|`)
	rule       = regexp.MustCompile(`^\s*(?:-{3,}|\*{3,}|_{3,})\s*$`)
	quote      = regexp.MustCompile(`^\s*(?:>\s?)+`)
	codeLine   = regexp.MustCompile(`^(?: {4}|\t)`)
)

// The measurements in documents stand between these, written by programs.
const (
	generatedBegins = "<!-- what follows is written by "
	generatedEnds   = "<!-- to here -->"
)

func splitLines(content string) []string {
	return strings.Split(strings.ReplaceAll(content, "\r\n", "\n"), "\n")
}

// parse finds the lines of Markdown that are prose, by their numbers from 0, and the blocks that
// they make. Go doc comments without their slashes are close enough to Markdown.
func parse(lines []string) (prose []int, blocks []block) {
	var (
		current            *block
		fenced             string // the fence that ends a code block
		generated, comment bool
		inList             bool
	)
	end := func() { current = nil }
	for i, line := range lines {
		if fenced != "" {
			if f := fence.FindStringSubmatch(line); f != nil && strings.HasPrefix(f[1], fenced) {
				fenced = ""
			}
			continue
		}
		if generated {
			generated = !strings.HasPrefix(line, generatedEnds)
			continue
		}
		if comment {
			comment = !strings.Contains(line, "-->")
			continue
		}
		content := quote.ReplaceAllString(line, "")
		item := listItem.FindString(content)
		switch {
		case strings.HasPrefix(line, generatedBegins):
			end()
			generated = true
			continue
		case strings.HasPrefix(strings.TrimSpace(line), "<!--"):
			end()
			comment = !strings.Contains(line, "-->")
			continue
		case strings.TrimSpace(content) == "":
			end()
			continue
		case fence.MatchString(content):
			end()
			fenced = fence.FindStringSubmatch(content)[1]
			continue
		case heading.MatchString(content), rule.MatchString(content):
			end()
			inList = false
			continue
		case tableRow.MatchString(content), definition.MatchString(content):
			end()
			continue
		case current == nil && !inList && item == "" && codeLine.MatchString(content):
			continue
		case item != "":
			end()
			inList = true
			content = content[len(item):]
		case current == nil && !strings.HasPrefix(content, " ") && !strings.HasPrefix(content, "\t"):
			inList = false
		}
		if current == nil {
			blocks = append(blocks, block{})
			current = &blocks[len(blocks)-1]
		}
		current.lines = append(current.lines, i)
		current.text = append(current.text, strings.TrimSpace(content))
		prose = append(prose, i)
	}
	return prose, blocks
}

var destination = regexp.MustCompile(`\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*\)`)

// columns returns how wide a line is. A link counts as its text, and a tab as 4.
func columns(line string) int {
	line = destination.ReplaceAllString(line, "]")
	return utf8.RuneCountInString(line) + 3*strings.Count(line, "\t")
}

var beforeText = regexp.MustCompile(`^\s*(?://)?\s*(?:>\s?)*(?:(?:[-*+]|\d+[.)])\s+)?`)

// canBeBroken reports whether there is a space in the first columns of a line after which a new
// line could begin.
func canBeBroken(line string) bool {
	text := line[len(beforeText.FindString(line)):]
	at := strings.IndexAny(text, " \t")
	return at >= 0 && columns(line[:len(line)-len(text)+at]) <= maxColumns
}
