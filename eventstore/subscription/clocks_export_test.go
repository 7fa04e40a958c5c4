package subscription

import "time"

// SetLease makes all instances of s believe that their lease lasts until then.
func (s *Subscription) SetLease(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.runs {
		r.until.Store(&until)
	}
}

// AliveUntil reports whether an instance lives whose lease lasts until then.
func AliveUntil(until time.Time) bool {
	r := &run{}
	r.until.Store(&until)
	return r.alive()
}
