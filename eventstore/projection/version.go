package projection

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

const (
	kindActive = "active"
	switching  = "switch a projection"
	dropping   = "drop a projection"
)

// Active returns the version that [Projection.Switch] chose last, or 0 if it never did.
func (p *Projection[D]) Active(ctx context.Context) (int, error) {
	version, _, err := p.active(ctx)
	return version, err
}

func (p *Projection[D]) active(ctx context.Context) (version int, etag string, err error) {
	item, err := p.state.Get(ctx, p.common(), p.activeKey())
	if err != nil || !item.Found() {
		if err != nil {
			err = p.failed(switching, err)
		}
		return 0, "", err
	}
	_, err = frame.Read(item.Value, kindActive, p.common(), func(field, value string) (err error) {
		if field == "version" {
			version, err = strconv.Atoi(value)
		}
		return err
	})
	if err != nil {
		return 0, "", p.damaged(item.Key, err)
	}
	return version, item.ETag, nil
}

// Switch makes every [View] read this version. It first waits until the documents include all that
// the feed had when it was called, which takes for ever if no instance runs this version. Switch
// can also go back to an earlier version that still runs.
func (p *Projection[D]) Switch(ctx context.Context) error {
	end, err := p.feed.End(ctx)
	if err != nil {
		return err
	}
	if err := p.subscription.Catch(permit.Permit{}, ctx, end); err != nil {
		return err
	}
	for n := 0; ; n++ {
		if n > 0 && !pause.Again(ctx, n) {
			return p.failed(switching, context.Cause(ctx))
		}
		version, etag, err := p.active(ctx)
		if err == nil && version == p.version {
			return nil
		}
		if err == nil {
			w := frame.New(kindActive, p.common(), 32)
			w.Number("version", int64(p.version))
			if err = p.state.Swap(ctx, p.common(), driver.Swap{Key: p.activeKey(), Value: w.Finish(), ETag: etag}); err != nil {
				err = p.failed(switching, err)
			}
		}
		if n == flushTries {
			return err
		}
	}
}

// Drop deletes the position of this version, and its documents. No instance may run it any more. It
// returns an [eventstore.ArgumentError] if views read this version. Repeat it after an error.
func (p *Projection[D]) Drop(ctx context.Context) error {
	version, err := p.Active(ctx)
	if err != nil {
		return err
	}
	if version == p.version {
		return bad("version", "%d is the one that is read: switch to another one first", version)
	}
	partitions, err := p.partitions(ctx)
	if err != nil {
		return err
	}
	for number := range partitions {
		for ids, err := range p.listed(ctx, number) {
			if err != nil {
				return err
			}
			errs := make([]error, len(ids))
			inParallel(len(ids), func(i int) {
				errs[i] = p.state.Write(ctx, p.part(ids[i]), []driver.Write{{Key: p.key(ids[i])}})
			})
			if err := errors.Join(errs...); err != nil {
				return p.failed(dropping, err)
			}
		}
		if err := p.dropList(ctx, number); err != nil {
			return err
		}
	}
	return p.subscription.Drop(ctx)
}

// dropList deletes the list of a partition, the part that names the pages last.
func (p *Projection[D]) dropList(ctx context.Context, number int) error {
	item, err := p.state.Get(ctx, p.shared(), p.listKey(number))
	if err != nil {
		return p.failed(dropping, err)
	}
	l, err := decodeList(p.shared(), item.Value)
	if err != nil {
		return p.damaged(item.Key, err)
	}
	var writes []driver.Write
	for n := range l.pages {
		writes = append(writes, driver.Write{Key: p.pageKey(number, n)})
	}
	for _, some := range [][]driver.Write{writes, {{Key: p.listKey(number)}}} {
		if len(some) == 0 {
			continue
		}
		if err := p.state.Write(ctx, p.shared(), some); err != nil {
			return p.failed(dropping, err)
		}
	}
	return nil
}

// View reads whichever version of a projection is active. It is safe for concurrent use.
type View[D any] struct {
	versions []*Projection[D]

	mu     sync.Mutex
	now    *Projection[D]
	looked time.Time
}

// lookAgain is how long a view reads a version without looking whether another one is active.
const lookAgain = time.Second

// NewView returns a view of the given versions of one projection. Until [Projection.Switch] is
// called for the first time, it reads the first of them. It follows a switch within a second. If a
// version is active that it was not given, it returns an [eventstore.ArgumentError] when it reads.
func NewView[D any](versions ...*Projection[D]) (*View[D], error) {
	if len(versions) == 0 {
		return nil, bad("versions", "there are none")
	}
	for _, p := range versions {
		if p == nil || p.common() != versions[0].common() {
			return nil, bad("versions", "they are not of one projection")
		}
	}
	return &View[D]{versions: versions}, nil
}

// Active returns the version that the view reads.
func (v *View[D]) Active(ctx context.Context) (*Projection[D], error) {
	v.mu.Lock()
	now, looked := v.now, v.looked
	v.mu.Unlock()
	if now != nil && time.Since(looked) < lookAgain {
		return now, nil
	}
	looked = time.Now() // before the request, so that the answer is not older than that
	version, err := v.versions[0].Active(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(v.versions, func(p *Projection[D]) bool { return version == 0 || p.version == version })
	if i < 0 {
		return nil, bad("versions", "version %d is active, and was not given to the view", version)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if looked.After(v.looked) {
		v.now, v.looked = v.versions[i], looked
	}
	return v.versions[i], nil
}

// Get returns a document of the active version, and whether it exists.
func (v *View[D]) Get(ctx context.Context, id string) (value D, exists bool, err error) {
	p, err := v.Active(ctx)
	if err != nil {
		return value, false, err
	}
	return p.Get(ctx, id)
}

// List returns the documents of the active version, as [Projection.List] does.
func (v *View[D]) List(ctx context.Context) iter.Seq2[Document[D], error] {
	return func(yield func(Document[D], error) bool) {
		p, err := v.Active(ctx)
		if err != nil {
			yield(Document[D]{}, err)
			return
		}
		p.List(ctx)(yield)
	}
}

// WaitFor waits until the documents of the active version include a version of a stream.
func (v *View[D]) WaitFor(ctx context.Context, stream eventstore.Stream, version int64) error {
	p, err := v.Active(ctx)
	if err != nil {
		return err
	}
	return p.WaitFor(ctx, stream, version)
}
