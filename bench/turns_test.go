package bench

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"
)

// plan says how long a comparison runs.
type plan struct {
	rounds int           // 0: as many as time allows, from fewestRounds to mostRounds; see over
	time   time.Duration // for the rounds of one comparison
	verify bool          // check the content of the store afterwards
}

const (
	fewestRounds = 10
	mostRounds   = 300

	// A comparison that has taken overdue times its time ends after so many rounds.
	overdue       = 3
	overdueRounds = 4

	// turnTime is about how long one turn of a side takes. mostInTurn is how often a side runs at
	// most in one turn.
	turnTime   = 20 * time.Millisecond
	mostInTurn = 32
)

// series holds the times of one side.
type series struct {
	name    string
	took    []time.Duration // of each run
	medians []time.Duration // of each round
	events  int             // of all runs
}

// inTurns runs the sides in turns, forwards and backwards (A B B A …). A machine whose speed drifts
// then affects all sides alike.
func inTurns(ctx context.Context, sides []side, once bool, p plan) ([]series, error) {
	all := make([]series, len(sides))
	for i, s := range sides {
		all[i].name = s.name
	}
	n, err := warmUp(ctx, sides, all, once || p.rounds == 1)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	most := mostRounds
	if once {
		most /= 3 // each run leaves much in the store
	}
	for round := 0; !p.over(round, most, time.Since(began)); round++ {
		for i := range sides {
			if round%2 == 1 {
				i = len(sides) - 1 - i
			}
			runtime.GC() // no side pays for the garbage of another
			if err := sides[i].turn(ctx, &all[i], n); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// over reports whether that many rounds, or that much time, are enough.
func (p plan) over(rounds, most int, took time.Duration) bool {
	if p.rounds > 0 {
		return rounds >= p.rounds
	}
	return rounds >= fewestRounds && (took >= p.time || rounds >= most) || rounds >= overdueRounds && took >= overdue*p.time
}

// warmUp runs each side twice without recording times. It returns how many runs fit into a turn.
func warmUp(ctx context.Context, sides []side, all []series, once bool) (n int, err error) {
	slowest := time.Duration(1)
	for range 2 {
		for i, s := range sides {
			began := time.Now()
			_, events, err := s.run(ctx)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", s.name, err)
			}
			all[i].events += events
			slowest = max(slowest, time.Since(began))
		}
	}
	if once {
		return 1, nil
	}
	return int(min(max(turnTime/slowest, 1), mostInTurn)), nil
}

// turn runs the side n times. In a profile the label "side" tells the sides apart.
func (s side) turn(ctx context.Context, to *series, n int) (err error) {
	took := make([]time.Duration, n)
	pprof.Do(ctx, pprof.Labels("side", s.name), func(ctx context.Context) {
		for i := range took {
			var events int
			if took[i], events, err = s.run(ctx); err != nil {
				err = fmt.Errorf("%s: %w", s.name, err)
				return
			}
			to.events += events
		}
	})
	to.took = append(to.took, took...)
	to.medians = append(to.medians, quantile(took, 0.5))
	return err
}

// quantile returns the quantile q of values, interpolated between two neighbours.
func quantile[T ~int64 | ~float64](values []T, q float64) T {
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[below] + T((at-float64(below))*float64(sorted[below+1]-sorted[below]))
}

// pairs returns the ratio of two sides for each round.
func pairs(a, b series) []float64 {
	ratios := make([]float64, len(a.medians))
	for i := range ratios {
		ratios[i] = float64(a.medians[i]) / float64(b.medians[i])
	}
	return ratios
}
