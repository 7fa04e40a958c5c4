package sidecar

import (
	"regexp"
	"strconv"
	"sync"
)

const (
	firstKeys    = 8       // in the first request about values whose sizes are not known
	blindKeys    = 64      // after a request that found nothing
	answerBytes  = 2 << 20 // of the answer to one bulk read, about
	portionsKept = 1024    // partitions of which is known how large values are
)

// portions says how many keys of a partition to ask for in one bulk read. A sidecar holds all of an answer
// in memory, several times, before anybody sees its size, so little is asked for until values were seen.
// It is safe for concurrent use.
type portions struct {
	mu   sync.Mutex
	keys map[string]int // by partition
}

// of returns how many keys to ask for.
func (p *portions) of(partition string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.keys[partition]; ok {
		return n
	}
	return firstKeys
}

// learn notes how large an answer about asked keys was, of which held have values, and returns how many
// keys to ask for next.
func (p *portions) learn(partition string, asked, held, bytes, limit int) int {
	next := p.of(partition)
	switch {
	case held == 0: // it told nothing of sizes
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
		for other := range p.keys { // any of them: one that is needed is soon learned again
			delete(p.keys, other)
			break
		}
	}
	p.keys[partition] = next
	return next
}

// tooLargeBy finds in gRPC's error how large the answer would have been.
var tooLargeBy = regexp.MustCompile(`larger than max \((\d+) vs\. \d+\)`)

// answered returns how large the answer was that was too large, or 0 where the error does not say.
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
