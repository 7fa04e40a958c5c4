package service

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// readyTimeout limits how long the store may take to answer the health check.
const readyTimeout = 2 * time.Second

// health is the answer of the health endpoints.
type health struct {
	Status string `json:"status"`           // "alive", "ready" or "unavailable"
	Away   string `json:"away,omitempty"`   // the part that does not answer
	Detail string `json:"detail,omitempty"` // what to check
}

// livez answers that the process serves. It does not check the store, because restarting this
// process would not bring a store back.
func (s *Service) livez(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, health{Status: "alive"})
}

// readyz answers whether the service can serve requests now.
func (s *Service) readyz(w http.ResponseWriter, r *http.Request) {
	now, err := s.ready(r.Context())
	if before := s.unready.Swap(&now.Away); before != nil && *before != now.Away || before == nil && now.Away != "" {
		if now.Away == "" {
			s.log.InfoContext(r.Context(), "ready again")
		} else {
			s.log.WarnContext(r.Context(), "not ready", "away", now.Away, "error", err.Error())
		}
	}
	status := http.StatusOK
	if now.Away != "" {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, now)
}

var errShuttingDown = errors.New("the service is shutting down")

func (s *Service) ready(ctx context.Context) (health, error) {
	if s.draining.Err() != nil {
		return health{Status: "unavailable", Away: "service", Detail: "The service is shutting down. Send requests to another instance."}, errShuttingDown
	}
	b, ok := s.bank()
	if !ok {
		return health{Status: "unavailable", Away: s.store, Detail: "The service is not connected yet, and keeps trying. Its log says why."}, errNotConnected
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := b.Reach(ctx)
	if err == nil {
		return health{Status: "ready"}, nil
	}
	var away *AwayError
	if !errors.As(err, &away) {
		away = &AwayError{Part: "store"}
	}
	return health{Status: "unavailable", Away: away.Part, Detail: "It does not answer. See its log and the log of this service."}, err
}
