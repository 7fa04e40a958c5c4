package main

import (
	"io"

	"github.com/schollz/progressbar/v3"
)

// bars draw progress on a terminal: how far the work is, or, as long as that is not known, that it
// goes on.
type bars struct {
	known, unknown *progressbar.ProgressBar
	drawn          *progressbar.ProgressBar // nil if nothing is on the terminal
}

const (
	steps   = 1000 // of a bar
	endless = -1   // the share of work whose amount is not known
)

func newBars(w io.Writer) *bars {
	bar := func(steps int) *progressbar.ProgressBar {
		return progressbar.NewOptions(steps, progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(20), progressbar.OptionThrottle(0),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionUseANSICodes(true),
			progressbar.OptionSpinnerType(14), progressbar.OptionSetSpinnerChangeInterval(0),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "#", SaucerPadding: ".", BarStart: "[", BarEnd: "]"}))
	}
	return &bars{known: bar(steps), unknown: bar(-1)}
}

// show draws the share of the work that is done, with a line about it.
func (b *bars) show(share float64, line string) {
	bar := b.known
	if share < 0 {
		bar = b.unknown
	}
	if b.drawn != bar {
		b.clear()
	}
	b.drawn = bar
	if share >= 0 {
		_ = bar.Set(min(int(share*steps), steps-1)) // the library takes a full bar for its end
	}
	bar.Describe(line) // which draws it
}

// clear removes what is drawn.
func (b *bars) clear() {
	if b.drawn != nil {
		_ = b.drawn.Clear()
		b.drawn = nil
	}
}
