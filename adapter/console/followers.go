package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/internal/followers"
)

// maxParked is how many parked streams the page lists for each follower.
const maxParked = 100

// WithDocuments says in which store projections keep their documents, if that is not the store of
// the events, see [projection.WithStore]. Without it, the console does not see which version of a
// projection is active then.
func WithDocuments(state driver.State) Option {
	return func(c *console) error {
		if state == nil {
			return wrong("documents", "it is nil")
		}
		c.projections = append(c.projections, projection.WithStore(state))
		return nil
	}
}

// followersView is the page of projections and subscriptions.
type followersView struct {
	Followers []follower
	Changes   bool
	Asked     string // "retry" or "skip", if a form has just asked for it; "late" if the stream was not parked any more
}

// follower is a projection or a subscription.
type follower struct {
	followers.Follower
	Shown  string // its name
	Full   string // the name of its subscription
	Held   []parked
	Hidden int // parked streams that are not listed
}

// parked is a stream whose events a follower holds back.
type parked struct {
	Stream   streamName
	From, To int64
	Since    time.Time
	Attempts int
	Reason   string
	Asked    bool
}

func (c *console) listFollowers(w http.ResponseWriter, r *http.Request) error {
	all, err := followers.All(r.Context(), c.feed, c.projections)
	if err != nil {
		return err
	}
	v := followersView{Changes: c.changes, Asked: r.URL.Query().Get("asked")}
	for _, one := range all {
		f := follower{Follower: one, Shown: visible(one.Name), Full: one.Subscription()}
		if one.Parked > 0 {
			if err := c.held(r.Context(), &f); err != nil {
				return err
			}
		}
		v.Followers = append(v.Followers, f)
	}
	return c.render(w, http.StatusOK, "followers", v)
}

// held reads the parked streams of a follower.
func (c *console) held(ctx context.Context, f *follower) error {
	s, err := followers.Subscription(c.feed, f.Full)
	if err != nil {
		return err
	}
	all, err := s.Parked(ctx)
	if err != nil {
		return err
	}
	f.Hidden = max(0, len(all)-maxParked)
	for _, p := range all[:len(all)-f.Hidden] {
		f.Held = append(f.Held, parked{c.nameOf(p.Stream), p.From, p.To, p.Since, p.Attempts, visible(p.Reason), p.Asked})
	}
	return nil
}

// unpark asks a follower to try a parked stream again, or to leave out the event that failed.
func (c *console) unpark(w http.ResponseWriter, r *http.Request) error {
	what := r.PathValue("what")
	if what != "retry" && what != "skip" {
		return errNoPage
	}
	s, err := followers.Subscription(c.feed, r.PostFormValue("follower"))
	if err != nil {
		return errBadForm
	}
	stream, err := eventstore.ParseStream(r.PostFormValue("stream"))
	if err != nil {
		return errBadForm
	}
	if what == "retry" {
		err = s.Retry(r.Context(), stream)
	} else if version, no := strconv.ParseInt(r.PostFormValue("version"), 10, 64); no != nil {
		return errBadForm
	} else { // the page may be an old one, that shows another event
		err = followers.Skip(r.Context(), s, stream, version)
	}
	if _, gone := errors.AsType[*subscription.NotParkedError](err); gone { // another try has come already
		http.Redirect(w, r, withQuery(c.prefix+"/projections", url.Values{"asked": {"late"}}), http.StatusSeeOther)
		return nil
	} else if err != nil {
		return err
	}
	c.log.InfoContext(r.Context(), "a person has asked through the console for another try of a parked stream", "subscription", s.Name(), "stream", c.feed.Provider().HashedStream(stream), "skip", what == "skip")
	http.Redirect(w, r, withQuery(c.prefix+"/projections", url.Values{"asked": {what}}), http.StatusSeeOther)
	return nil
}

// ElementID returns a text that can be part of the id of an element.
func (f follower) ElementID() string {
	return strings.NewReplacer("%", "", "+", "").Replace(url.QueryEscape(f.Full))
}
