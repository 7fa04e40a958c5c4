package feed_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/feed"
)

func TestTheLogHasAllThatWasAppended(t *testing.T) {
	inLab(t, func(l *lab) {
		for i := range 30 {
			l.add(fmt.Sprint(i%7), raw("x"), raw("y"))
		}
		l.settle()
		version := map[string]int64{}
		for _, item := range l.read(feed.AsRaw()) {
			if version[item.Stream.ID]++; item.Version != version[item.Stream.ID] || item.Err != nil {
				l.Errorf("version %d of stream %s came after %d (%v)", item.Version, item.Stream.ID, version[item.Stream.ID]-1, item.Err)
			}
		}
		for i := range 7 {
			if got, want := version[fmt.Sprint(i)], int64(2*((30-i+6)/7)); got != want {
				l.Errorf("stream %d has %d events in the feed, not %d", i, got, want)
			}
		}
		l.stop()
		if err := l.p.Close(l.Context()); err != nil {
			l.Fatal(err)
		}
		l.index()
		l.settle()
		for key := range l.store.Values() {
			if strings.HasPrefix(key, "{:journal:") {
				l.Errorf("%s is left of a journal that has ended", key)
			}
		}
	})
}
