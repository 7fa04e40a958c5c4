package main

import (
	"fmt"
	"regexp"
	"strings"
)

// dialect lists what plain English does not say, and what it says instead. The patterns are matched
// with single sentences.
var dialect = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)\banew\b`), "again"},
	{regexp.MustCompile(`(?i)\bin vain\b`), "without success"},
	{regexp.MustCompile(`(?i)^\S+ (?:is that|are those) of\b`), "a verb: X returns …"},
	{regexp.MustCompile(`^(?i:who) [^?]*$`), "the person or program"}, // a question may begin so
	{regexp.MustCompile(`(?i)(?:^|[,;:(—] ?|\b(?:and|because|but|if|or|since|so|that|until|what|when|where|which|while) )nobody\b`), "no one, or the passive"},
}

// dialectIn returns a message for each phrase of the list in a sentence.
func dialectIn(sentence string) []string {
	var says []string
	for _, d := range dialect {
		if found := d.pattern.FindString(sentence); found != "" {
			if words := strings.Fields(found); len(words) > 5 {
				found = strings.Join(words[:5], " ") + " …"
			}
			says = append(says, fmt.Sprintf("dialect: %q; better: %s", strings.Trim(found, " ,;:("), d.instead))
		}
	}
	return says
}
