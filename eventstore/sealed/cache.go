package sealed

import (
	"container/list"
	"sync"
	"time"
)

// cached is what is known of a subject. The zero value says that the subject has no key.
type cached struct {
	key       []byte
	forgotten bool
}

func (c cached) answer(subject string) ([]byte, error) {
	switch {
	case c.forgotten:
		return nil, &ForgottenError{subject}
	case c.key == nil:
		return nil, &NoKeyError{subject}
	}
	return c.key, nil
}

// cache keeps keys in memory. When it is full it drops the least recently used key.
type cache struct {
	limit int
	keep  time.Duration

	mu     sync.Mutex
	places map[string]*list.Element
	used   list.List // of entry, the most recently used in front
	drops  uint64
}

type entry struct {
	subject string
	cached
	until time.Time
}

// generation returns a number that changes with each drop.
func (c *cache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drops
}

func (c *cache) get(subject string) (cached, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	place, ok := c.places[subject]
	if !ok {
		return cached{}, false
	}
	e := place.Value.(entry)
	if !time.Now().Before(e.until) {
		c.remove(place)
		return cached{}, false
	}
	c.used.MoveToFront(place)
	return e.cached, true
}

// put keeps an answer of the store to a request that was sent at asked. It does nothing if a key
// was dropped since the generation that was given.
func (c *cache) put(subject string, found cached, asked time.Time, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit == 0 || c.keep == 0 || c.drops != generation {
		return
	}
	if place, ok := c.places[subject]; ok {
		c.remove(place)
	}
	if c.places == nil {
		c.places = map[string]*list.Element{}
	}
	c.places[subject] = c.used.PushFront(entry{subject, found, asked.Add(c.keep)})
	for c.used.Len() > c.limit {
		c.remove(c.used.Back())
	}
}

func (c *cache) drop(subject string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drops++
	if place, ok := c.places[subject]; ok {
		c.remove(place)
	}
}

func (c *cache) remove(place *list.Element) {
	delete(c.places, place.Value.(entry).subject)
	c.used.Remove(place)
}
