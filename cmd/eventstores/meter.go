package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// meter shows the progress of the work: as a bar on a terminal, otherwise as a line from time to
// time. It is safe for concurrent use.
type meter struct {
	stderr io.Writer
	level  slog.Leveler // of warnings
	bar    *bars        // nil unless standard error is a terminal
	began  time.Time

	mu       sync.Mutex
	streams  int    // the total; 0 if it is not known
	unit     string // what is counted instead of streams, if anything
	finished int
	at       map[eventstore.Stream]progress // the streams in progress
	events   map[string]int64               // by what was done with them
	stop     chan struct{}
	ended    sync.Once
	stopped  sync.WaitGroup
}

// progress is how far the work on one stream is.
type progress struct {
	stage, stages int // the current stage, counted from 0, and the number of stages
	done, of      int64
}

func (p progress) share() float64 {
	return (float64(p.stage) + float64(p.done)/float64(max(p.of, 1))) / float64(p.stages)
}

// The intervals at which the meter prints.
const (
	redraw   = 200 * time.Millisecond
	sayAgain = 10 * time.Second
)

func newMeter(c *call, streams int) *meter {
	m := &meter{
		stderr: c.stderr, level: c, began: time.Now(), streams: streams,
		at: map[eventstore.Stream]progress{}, events: map[string]int64{}, stop: make(chan struct{}),
	}
	every := sayAgain
	if isTerminal(raw(c.stderr)) {
		every, m.bar = redraw, newBars(raw(c.stderr))
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

// tell records the progress of a stream. The argument what says what happens to events in this
// stage, such as "copied".
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

// finish forgets a stream, and calls a function that prints its last line.
func (m *meter) finish(stream eventstore.Stream, done bool, last func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.at, stream)
	if done {
		m.finished++
	}
	m.clear()
	last()
	if m.bar != nil {
		m.draw()
	}
}

// count notes that a stream is done of which no line is printed.
func (m *meter) count() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finished++
}

// reach notes how far work is that does not go stream by stream.
func (m *meter) reach(done, of int64, unit string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finished, m.streams, m.unit = int(done), int(of), unit
}

// note prints a line about the work on standard error.
func (m *meter) note(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	fmt.Fprintln(m.stderr, line)
}

// around calls a function that prints.
func (m *meter) around(do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	return do()
}

// Write prints log output.
func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	return m.stderr.Write(p)
}

// clear removes the bar, so that something else can be printed.
func (m *meter) clear() {
	if m.bar != nil {
		m.bar.clear()
	}
}

func (m *meter) draw() {
	share := float64(m.finished)
	for _, p := range m.at {
		share += p.share()
	}
	share /= float64(max(m.streams, 1))
	line := fmt.Sprintf("%d of %d streams, %d in progress", m.finished, m.streams, len(m.at))
	switch {
	case m.unit != "" && m.streams > 0:
		line = fmt.Sprintf("%d of %d %s", m.finished, m.streams, m.unit)
	case m.streams == 0:
		line = fmt.Sprintf("%d %s", m.finished, cmp.Or(m.unit, "streams"))
	}
	for _, what := range [...]string{"checked", "copied", "verified"} {
		if n := m.events[what]; n > 0 {
			line += fmt.Sprintf(", %d events %s", n, what)
		}
	}
	line += fmt.Sprintf(", %s", time.Since(m.began).Round(time.Second))
	if m.bar == nil {
		if m.streams > 0 {
			line = fmt.Sprintf("%3.0f %%  %s", 100*share, line)
		}
		fmt.Fprintln(m.stderr, line)
		return
	}
	if m.streams == 0 {
		share = endless
	}
	m.bar.show(share, line)
}

// end removes the meter. It does nothing when it is called again.
func (m *meter) end() {
	m.ended.Do(func() {
		close(m.stop)
		m.stopped.Wait()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.clear()
	})
}
