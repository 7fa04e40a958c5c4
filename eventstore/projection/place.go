package projection

import (
	"cmp"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// place is where an item stands among those of its partition. Items are delivered in the order of
// their places, except for those of a stream that was parked.
type place struct {
	entry   feed.Position // of the commit; 0 if the stream was parked
	version int64
	what    feed.What
}

func placeOf(item feed.Item) place {
	return place{item.Entry(permit.Permit{}), item.Version, item.What}
}

func (p place) compare(other place) int {
	return cmp.Or(cmp.Compare(p.entry, other.entry), cmp.Compare(p.version, other.version), cmp.Compare(p.what, other.what))
}

func (p place) String() string { return fmt.Sprintf("%d %d %d", p.entry, p.version, p.what) }

func parsePlace(text string) (p place, err error) {
	var what int
	if _, err = fmt.Sscanf(text, "%d %d %d", &p.entry, &p.version, &what); err != nil {
		return p, fmt.Errorf("%q is no place of an item: %w", text, err)
	}
	p.what = feed.What(what)
	return p, nil
}
