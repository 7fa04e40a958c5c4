package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// meter shows how far the work has come: on a terminal as a bar that stays in its line, elsewhere as a line from time to time. It
// is safe for concurrent use.
type meter struct {
	stdout, stderr io.Writer
	bar            io.Writer // standard error as it is
	terminal       bool
	began          time.Time

	mu       sync.Mutex
	streams  int // in all
	finished int
	at       map[eventstore.Stream]progress // those under way
	events   map[string]int64               // by what was done with them
	stop     chan struct{}
	stopped  sync.WaitGroup
}

// progress is how far one stream has come.
type progress struct {
	stage, stages int // the stage under way, counted from 0, of how many there are
	done, of      int64
}

func (p progress) share() float64 {
	return (float64(p.stage) + float64(p.done)/float64(max(p.of, 1))) / float64(p.stages)
}

// How often the meter shows itself.
const (
	redraw   = 200 * time.Millisecond
	sayAgain = 10 * time.Second
)

func newMeter(c *call, streams int) *meter {
	m := &meter{
		stdout: c.stdout, stderr: c.stderr, bar: raw(c.stderr), terminal: isTerminal(raw(c.stderr)), began: time.Now(), streams: streams,
		at: map[eventstore.Stream]progress{}, events: map[string]int64{}, stop: make(chan struct{}),
	}
	every := sayAgain
	if m.terminal {
		every = redraw
	}
	m.stopped.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.mu.Lock()
				m.draw()
				m.mu.Unlock()
			case <-m.stop:
				return
			}
		}
	})
	return m
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// tell notes how far a stream has come; what is what is done with events in this stage, as "copied".
func (m *meter) tell(stream eventstore.Stream, what string, now progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.at[stream]
	if before.stage != now.stage {
		before.done = 0
	}
	m.events[what] += now.done - before.done
	m.at[stream] = now
}

// finish prints the line of a stream that is done with.
func (m *meter) finish(stream eventstore.Stream, line string, done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.at, stream)
	if done {
		m.finished++
	}
	m.clear()
	fmt.Fprintln(m.stdout, line)
	if m.terminal {
		m.draw()
	}
}

// say prints a line about a stream that is under way.
func (m *meter) say(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	fmt.Fprintln(m.stdout, line)
}

// Write prints what is logged.
func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	return m.stderr.Write(p)
}

// clear takes the bar away, so that something else can be printed.
func (m *meter) clear() {
	if m.terminal {
		fmt.Fprint(m.bar, "\r\x1b[K")
	}
}

func (m *meter) draw() {
	share := float64(m.finished)
	for _, p := range m.at {
		share += p.share()
	}
	share /= float64(max(m.streams, 1))
	line := fmt.Sprintf("%3.0f %%  %d of %d streams, %d under way", 100*share, m.finished, m.streams, len(m.at))
	for _, what := range [...]string{"checked", "copied", "verified"} {
		if n := m.events[what]; n > 0 {
			line += fmt.Sprintf(", %d events %s", n, what)
		}
	}
	line += fmt.Sprintf(", %s", time.Since(m.began).Round(time.Second))
	if !m.terminal {
		fmt.Fprintln(m.stderr, line)
		return
	}
	const width = 20
	full := int(share * width)
	fmt.Fprintf(m.bar, "\r\x1b[K[%s%s] %s", strings.Repeat("#", full), strings.Repeat(".", width-full), line)
}

// end takes the meter away.
func (m *meter) end() {
	close(m.stop)
	m.stopped.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
}
