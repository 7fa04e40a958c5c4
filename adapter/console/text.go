package console

import (
	"strconv"
	"time"

	"github.com/hexalith/eventstores-go/internal/legible"
)

// visible escapes what a browser would not show, or what would change how other text is shown.
// Line feeds and tabs stay.
func visible(text string) string { return legible.Text(text, "\n\t") }

// counted returns a number with its noun.
func counted[N int | int64](n N, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(int64(n), 10) + " " + several
}

// when returns a time for people, in UTC.
func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000")
}

// stamp returns a time for programs.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
