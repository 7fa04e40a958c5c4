package main

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// when is a time that a user names: 2h and 3d are that long ago, other forms are those of layouts.
type when struct{ time.Time }

// aboutTimes is part of the usage of commands.
const aboutTimes = `A time is 2026-11-26T18:00:00Z, or 2026-11-26 or "2026-11-26 18:00" in local time, or how long ago
it was: 90s, 15m, 2h, 3d.
`

var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// String implements [pflag.Value].
func (w *when) String() string {
	if w.IsZero() {
		return ""
	}
	return shownTime(w.Time)
}

// Type implements [pflag.Value].
func (w *when) Type() string { return "time" }

// Set implements [pflag.Value].
func (w *when) Set(value string) error {
	if ago, err := parseAgo(value); err == nil {
		w.Time = time.Now().Add(-ago)
		return nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, value, time.Local); err == nil {
			w.Time = t
			return nil
		}
	}
	return errors.New("it must be a time such as 2h, 3d, 2026-11-26 or 2026-11-26T18:00:00Z")
}

// parseAgo parses a duration, which may be a number of days.
func parseAgo(value string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(value, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	ago, err := time.ParseDuration(value)
	if err == nil && ago < 0 {
		err = errors.New("a negative duration")
	}
	return ago, err
}

// shownTime returns a time for printing, in UTC, as wide as any other.
func shownTime(t time.Time) string {
	if t.IsZero() {
		return "-                       "
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
