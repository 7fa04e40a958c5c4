package sidecar

import (
	"regexp"
	"strconv"
	"sync"
)

const (
	firstKeys    = 8       // in the first request, when the sizes of values are unknown
	blindKeys    = 64      // after a request that found nothing
	answerBytes  = 2 << 20 // approximate size of the answer to one bulk read
	portionsKept = 1024    // partitions whose sizes of values are remembered
)

// portions says how many keys of a partition to request in one bulk read. A sidecar holds an entire
// answer in memory, several times, before the client learns its size. So the first requests ask for
// few keys, until the sizes of values are known. It is safe for concurrent use.
type portions struct {
	mu   sync.Mutex
	keys map[string]int // by partition
}

// of returns how many keys to request.
func (p *portions) of(partition string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.keys[partition]; ok {
		return n
	}
	return firstKeys
}

// learn records the size of an answer: asked keys were requested, held of them have values, of so
// many bytes in total. It returns how many keys to request next.
func (p *portions) learn(partition string, asked, held, bytes, limit int) int {
	next := p.of(partition)
	switch {
	case held == 0: // no value, so no size
		next = max(next, min(asked*4, blindKeys))
	case asked >= next:
		next = asked * 4
	}
	if bytes > 0 {
		next = min(next, max(1, min(answerBytes, limit/2)*held/bytes))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[string]int{}
	}
	if _, known := p.keys[partition]; !known && len(p.keys) >= portionsKept {
		for other := range p.keys { // any of them: its sizes are soon learned again
			delete(p.keys, other)
			break
		}
	}
	p.keys[partition] = next
	return next
}

// tooLargeBy finds the size of the answer in gRPC's error.
var tooLargeBy = regexp.MustCompile(`larger than max \((\d+) vs\. \d+\)`)

// answered returns the size of an answer that was too large, or 0 if the error does not tell.
func answered(err error) int {
	found := tooLargeBy.FindStringSubmatch(err.Error())
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		return 0
	}
	return n
}
