package console

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hexalith/eventstores-go/internal/followers"
)

// check is something to look at besides what the console knows.
type check struct {
	name string
	look func(ctx context.Context) (flaws []string, err error)
}

// WithCheck adds a line to the page about the health of the store. Look returns what is wrong, or
// why it does not know. It is called for each view of the page, and should end with its context.
func WithCheck(name string, look func(ctx context.Context) (flaws []string, err error)) Option {
	return func(c *console) error {
		if look == nil {
			return wrong("check", "it is nil")
		}
		c.checks = append(c.checks, check{visible(name), look})
		return nil
	}
}

// healthView is the page about the health of the store.
type healthView struct {
	Findings []healthFinding
	Warnings int
	Failed   int
}

// healthFinding is one thing that was looked at.
type healthFinding struct{ Level, What, About string }

func (v *healthView) say(level, what, format string, args ...any) {
	switch level {
	case "warning":
		v.Warnings++
	case "failed":
		v.Failed++
	}
	v.Findings = append(v.Findings, healthFinding{level, what, visible(fmt.Sprintf(format, args...))})
}

// lookAgain is how long entries may wait before the page says that no indexer works.
const lookAgain = 2 * time.Second

func (c *console) showHealth(w http.ResponseWriter, r *http.Request) error {
	var v healthView
	ctx := r.Context()
	for _, check := range c.checks {
		flaws, err := check.look(ctx)
		switch {
		case err != nil:
			v.say("warning", check.name, "cannot be checked: %v", err)
		case len(flaws) == 0:
			v.say("ok", check.name, "nothing was found")
		}
		for _, flaw := range flaws {
			v.say("warning", check.name, "%s", flaw)
		}
	}
	c.feedHealth(ctx, &v)
	c.followersHealth(ctx, &v)
	if _, all, done, err := c.census.count(ctx, c.feed); err != nil {
		v.say("failed", "Catalogue", "%v", err)
	} else if done {
		v.say("ok", "Catalogue", "%s", counted(all, "stream", "streams"))
	} else {
		v.say("ok", "Catalogue", "more than %d streams", all)
	}
	return c.render(w, http.StatusOK, "health", v)
}

// feedHealth looks whether an indexer works.
func (c *console) feedHealth(ctx context.Context, v *healthView) {
	first, err := c.feed.Status(ctx)
	now := first
	for began := time.Now(); err == nil && now.Waiting > 0 && now.End == first.End && time.Since(began) < lookAgain; now, err = c.feed.Status(ctx) {
		pause(ctx, lookAgain/8)
	}
	switch {
	case err != nil:
		v.say("failed", "Feed", "%v", err)
	case now.Waiting > 0 && now.End == first.End:
		v.say("warning", "Feed", "%s, and none was taken over for %v: does an indexer work?", counted(now.Waiting, "entry waits", "entries wait"), lookAgain)
	default:
		v.say("ok", "Feed", "%s ends at position %d, has %s, and %s", c.feed.Name(), now.End, counted(now.Journals, "journal", "journals"), counted(now.Waiting, "entry waits", "entries wait"))
	}
}

// followersHealth looks at projections and subscriptions.
func (c *console) followersHealth(ctx context.Context, v *healthView) {
	all, err := followers.All(ctx, c.feed, c.projections)
	if err != nil {
		v.say("failed", "Followers", "%v", err)
		return
	}
	for _, f := range all {
		name := f.Subscription()
		switch {
		case f.Parked > 0:
			v.say("warning", "Followers", "%s has parked %s", name, counted(f.Parked, "stream", "streams"))
		case f.Running < f.Partitions && f.Lag > 0:
			v.say("warning", "Followers", "%s is %s behind, and %d of its %s", name, counted(f.Lag, "position", "positions"), f.Running, counted(f.Partitions, "partition runs", "partitions run"))
		default:
			v.say("ok", "Followers", "%s is %s behind, and %d of its %s", name, counted(f.Lag, "position", "positions"), f.Running, counted(f.Partitions, "partition runs", "partitions run"))
		}
	}
}
