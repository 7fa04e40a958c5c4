package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// followerVariable turns this executable into a follower. It holds the feedConfig.
const followerVariable = "EVENTSTORES_CHAOS_FOLLOWER"

// item is an item of the feed, as the log has it or a follower got it.
type item struct {
	What    what
	Version int64
	Append  string // its name
	Part    int

	at     int64 // when it was delivered
	client string
}

// itemOf returns an item of the feed in the form in which it is compared.
func itemOf(i feed.Item) (item, error) {
	if i.Err != nil {
		return item{}, fmt.Errorf("%s %s: %w", i.What, i.ID(), i.Err)
	}
	switch i.What {
	case feed.Closed:
		return item{What: closed, Version: i.Version}, nil
	case feed.Deleted:
		return item{What: deleted, Version: i.Version}, nil
	case feed.Appended:
	default:
		return item{}, fmt.Errorf("%s %s", i.What, i.ID())
	}
	var w written
	switch data := i.Event.Data.(type) {
	case written:
		w = data
	case eventstore.Raw:
		if err := json.Unmarshal(data.Payload, &w); err != nil {
			return item{}, fmt.Errorf("%s: %w", i.ID(), err)
		}
	default:
		return item{}, fmt.Errorf("%s is a %T", i.ID(), data)
	}
	return item{Version: i.Version, Append: w.Append, Part: w.Part}, nil
}

// follow is the main function of a follower. It notes each item before its handler returns, until
// its standard input ends or it is killed. Its handler sometimes fails, before or after that.
func follow() {
	var config feedConfig
	configOf(followerVariable, &config)
	j := &journal{out: os.NewFile(resultsFD, "journal")}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-untilStdinEnds(); cancel() }()
	f := config.open(ctx)
	if f == nil {
		return
	}
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(config.Seed, 1))
	fails := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(200) == 0
	}
	handle := func(_ context.Context, got feed.Item) error {
		if fails() {
			return errFault
		}
		i, err := itemOf(got)
		if err != nil {
			j.write(entry{Kind: broken, Client: config.Name, Stream: got.Stream.ID, Error: "follow: " + err.Error()})
			return nil
		}
		j.write(entry{Kind: delivered, Client: config.Name, Stream: got.Stream.ID, What: i.What, Version: i.Version, Append: i.Append, Part: i.Part})
		if fails() {
			return errFault
		}
		return nil
	}
	s, err := subscription.New(f, "followers", handle,
		subscription.WithLease(sessionTimeout), subscription.WithPartitions(8), subscription.WithSaving(20, 200*time.Millisecond),
		subscription.WithBackoff(time.Millisecond, 50*time.Millisecond))
	if err != nil {
		fatal(err)
	}
	config.note(j, "follow", s.Run(ctx))
}

// delivered returns what the followers got, as text.
func (s *streamHistory) delivered() string {
	var all strings.Builder
	for _, i := range inTime(s.deliveries) {
		fmt.Fprintf(&all, "\t%.6fs %s got %d%s %s part %d\n", float64(i.at)/1e9, i.client, i.Version, i.What, i.Append, i.Part)
	}
	return all.String()
}
