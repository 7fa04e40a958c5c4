package feed_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// TestAFeedIsSwitchedOnOffAndOn does what docs/upgrading.md says, with instances that have the feed
// and instances that have not.
func TestAFeedIsSwitchedOnOffAndOn(t *testing.T) {
	inLab(t, func(l *lab) {
		l.stop()
		without := l.before()
		write := func(p *eventstore.Provider, ids ...string) {
			l.Helper()
			for _, id := range ids {
				l.write(p, id, 1)
			}
		}
		write(without, "a", "b", "c") // the store has no feed yet
		write(l.p, "a", "new")        // one instance after the other has it
		write(without, "a", "b", "later")
		l.index()
		l.settle()
		l.imports(feed.Named(l.accounts("a", "b", "c", "later", "new")...))
		l.settle()
		on := l.read()
		last := map[string]int64{}
		for _, item := range on {
			last[item.Stream.ID] = item.Version
		}
		if want := "map[a:3 b:2 c:1 later:1 new:1]"; fmt.Sprint(last) != want {
			l.Errorf("with the feed, it read %v, not %s", last, want)
		}
		position := on[len(on)-1].Position
		l.stop()
		write(without, "a", "b", "off") // all instances go back
		l.settle()
		if got := l.read(feed.After(position)); len(got) > 0 {
			l.Errorf("without the feed, it read %s", shown(got))
		}
		l.p, l.f = open(l.T, l.store)
		l.index()
		write(l.p, "a", "off")
		l.settle()
		l.settle()
		var again []string
		for _, item := range l.read(feed.After(position)) {
			again = append(again, show(item))
		}
		slices.Sort(again)
		if got, want := strings.Join(again, ", "), "a/4, a/5, b/3, off/1, off/2"; got != want {
			l.Errorf("with the feed again, it read %s, not %s", got, want)
		}
	})
}
