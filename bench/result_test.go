package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// limit is a target. The zero value is no target.
type limit struct {
	ratio    float64       // the highest ratio to the other side
	below    bool          // the ratio itself does not meet the target
	duration time.Duration // the longest time of ours
}

// budget returns the limit of a ratio to the floor. There is one for stores whose transactions roll
// back, and one for Redis.
func budget(transactional, redis float64) func(*store) limit {
	return func(s *store) limit {
		if s.counted() {
			return limit{ratio: redis}
		}
		return limit{ratio: transactional}
	}
}

// targets returns the limit of a ratio to the floor, for Redis, for other stores through a sidecar,
// and for SQLite in this process. A store in the memory of this process has no limit, because its
// floor is a look into a map.
func targets(redis, sidecar, sqlite float64) func(*store) limit {
	return func(s *store) limit {
		switch {
		case s.counted():
			return limit{ratio: redis}
		case s.name == "embedded/memory":
			return limit{}
		case s.name == "embedded/sqlite":
			return limit{ratio: sqlite}
		}
		return limit{ratio: sidecar}
	}
}

// near and ahead are the limits of a ratio to another library on the same database.
func near(*store) limit  { return limit{ratio: 1.2} }
func ahead(*store) limit { return limit{ratio: 1, below: true} }

func (l limit) String() string {
	switch {
	case l.duration > 0:
		return fmt.Sprintf("%dus", l.duration.Microseconds())
	case l.below:
		return fmt.Sprintf("<%.4g", l.ratio)
	case l.ratio > 0:
		return fmt.Sprintf("%.4g", l.ratio)
	}
	return "none"
}

// met reports whether r meets the limit, which must not be the zero value.
func (l limit) met(r result) bool {
	switch {
	case l.duration > 0:
		return r.ours.median <= micros(l.duration)
	case l.below:
		return r.ratio < l.ratio
	}
	return r.ratio <= l.ratio
}

// timing holds the times of one side, in microseconds.
type timing struct {
	name        string
	median, p99 float64
	q1, q3      float64
	perEvent    *allocations // in hundredths
	sent        *traffic     // for an append or a run
}

// perSecond returns how often a second the side did what it was timed for.
func (t timing) perSecond() float64 { return 1e6 / t.median }

// result is the result of one comparison on one store.
type result struct {
	comparison
	store           string
	ours, other     timing
	more            []timing // for information
	ratio           float64  // of the medians
	pairQ1, pairQ3  float64  // quartiles of the rounds' ratios
	rounds, samples int
	limit           limit
	reached         float64 // appends a second, in a comparison of delays
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func timingOf(s series) timing {
	return timing{
		name:   s.name,
		median: micros(quantile(s.took, 0.5)),
		p99:    micros(quantile(s.took, 0.99)),
		q1:     micros(quantile(s.took, 0.25)),
		q3:     micros(quantile(s.took, 0.75)),
	}
}

// compare runs a comparison on the store of a lab.
func compare(ctx context.Context, c comparison, l *lab, p plan) (result, error) {
	var sides []side
	var all []series
	var reached float64
	var err error
	if c.brief {
		p.time /= 2
	}
	if c.delays != nil {
		all, reached = c.delays(l)
	} else {
		sides = c.sides(l)
		if all, err = inTurns(ctx, sides, c.once, p); err == nil {
			err = alike(ctx, sides, all, p.verify)
		}
	}
	if err != nil {
		return result{}, fmt.Errorf("case %s on %s: %w", c.name, l.name, err)
	}
	r := result{
		comparison: c,
		reached:    reached,
		store:      l.name,
		ours:       timingOf(all[0]),
		other:      timingOf(all[1]),
		rounds:     len(all[0].medians),
		samples:    len(all[0].took),
	}
	for _, s := range all[2:] {
		r.more = append(r.more, timingOf(s))
	}
	r.ratio = r.ours.median / r.other.median
	ratios := pairs(all[0], all[1])
	r.pairQ1, r.pairQ3 = quantile(ratios, 0.25), quantile(ratios, 0.75)
	if c.limit != nil {
		r.limit = c.limit(l.store)
	}
	if c.allocs && l.name == "embedded/memory" {
		for i, of := range []*timing{&r.ours, &r.other} {
			if of.perEvent, err = perEvent(ctx, sides[i]); err != nil {
				return result{}, err
			}
		}
	}
	for i, sent := range l.sent {
		if c.counts == notCounted {
			break
		}
		if *[]**traffic{&r.ours.sent, &r.other.sent}[i], err = c.counts.counted(ctx, sides[i], sent); err != nil {
			return result{}, fmt.Errorf("case %s on %s: %w", c.name, l.name, err)
		}
	}
	return r, nil
}

// alike checks that all sides worked on the same number of events. With verify it also checks that
// they left the same number in the store.
func alike(ctx context.Context, sides []side, all []series, verify bool) error {
	for i, s := range all {
		if s.events == 0 || s.events != all[0].events {
			return fmt.Errorf("%s processed %d events, %s %d", all[0].name, all[0].events, s.name, s.events)
		}
		if !verify || sides[0].stored == nil || sides[i].stored == nil {
			continue
		}
		ours, err := sides[0].stored(ctx)
		if err != nil {
			return err
		}
		theirs, err := sides[i].stored(ctx)
		if err != nil {
			return err
		}
		if ours < all[0].events || ours != theirs {
			return fmt.Errorf("of %d events, %s stored %d and %s %d", s.events, all[0].name, ours, s.name, theirs)
		}
	}
	return nil
}

// perEvent counts the allocations of a side per event, in hundredths.
func perEvent(ctx context.Context, s side) (*allocations, error) {
	total, n := &allocations{}, 0
	for range 3 {
		_, events, err := s.run(context.WithValue(ctx, allocationsKey{}, total))
		if err != nil {
			return nil, err
		}
		n += events
	}
	return &allocations{objects: 100 * total.objects / uint64(n), bytes: 100 * total.bytes / uint64(n)}, nil
}

// ratioError estimates how far off the ratio may be by chance. It is the standard error of the
// median of the rounds' ratios.
func (r result) ratioError() float64 {
	const toMedian, toSigma = 1.2533, 1.349 // for a normal distribution
	return toMedian * (r.pairQ3 - r.pairQ1) / toSigma / math.Sqrt(float64(r.rounds))
}

// row returns the result as a line for programs to read.
func (r result) row() string {
	var b strings.Builder
	number := func(name string, value float64) { fmt.Fprintf(&b, " %s=%s", name, digits(value)) }
	fmt.Fprintf(&b, "bench case=%s store=%s", r.name, r.store)
	if r.against != "floor" {
		fmt.Fprintf(&b, " against=%s", r.against)
	}
	number("ours_us", r.ours.median)
	number(r.other.name+"_us", r.other.median)
	fmt.Fprintf(&b, " ratio=%.4f", r.ratio)
	for _, t := range []timing{r.ours, r.other} {
		number(t.name+"_p99_us", t.p99)
		number(t.name+"_spread_us", t.q3-t.q1)
	}
	fmt.Fprintf(&b, " ratio_q1=%.4f ratio_q3=%.4f ratio_error=%.4f rounds=%d samples=%d", r.pairQ1, r.pairQ3, r.ratioError(), r.rounds, r.samples)
	if slices.Contains([]string{"parallel16", "hot16", "hot4x4", "projectlive"}, r.name) {
		for _, t := range []timing{r.ours, r.other} {
			fmt.Fprintf(&b, " %s_per_s=%.0f", t.name, t.perSecond())
		}
	}
	for _, t := range r.more {
		number(t.name+"_us", t.median)
		fmt.Fprintf(&b, " ratio_to_%s=%.4f", t.name, r.ours.median/t.median)
	}
	for _, t := range []timing{r.ours, r.other} {
		if t.perEvent != nil {
			fmt.Fprintf(&b, " %s_allocs_per_event=%.2f %s_bytes_per_event=%.0f", t.name, float64(t.perEvent.objects)/100, t.name, float64(t.perEvent.bytes)/100)
		}
	}
	for _, t := range []timing{r.ours, r.other} {
		if t.sent != nil {
			fmt.Fprintf(&b, " %s_requests=%.2f %s_keys=%.2f %s_bytes=%.0f", t.name, t.sent.requests, t.name, t.sent.keys, t.name, t.sent.bytes)
		}
	}
	if r.reached > 0 {
		fmt.Fprintf(&b, " appends_per_s=%.0f", r.reached)
	}
	b.WriteString(verdict(r.limit != limit{}, r.limit.String(), r.limit.met(r)))
	return b.String()
}

func verdict(limited bool, target string, met bool) string {
	if !limited {
		return " target=none"
	}
	return fmt.Sprintf(" target=%s met=%t", target, met)
}

// digits formats a time in microseconds with its significant digits.
func digits(value float64) string {
	switch {
	case value >= 1000:
		return fmt.Sprintf("%.0f", value)
	case value >= 100:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.2f", value)
	}
}
