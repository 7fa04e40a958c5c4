package service

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// readyTimeout is how long the store may take to answer the question whether it is there.
const readyTimeout = 2 * time.Second

// health is what the health endpoints answer.
type health struct {
	Status string `json:"status"`           // "alive", "ready" or "unavailable"
	Away   string `json:"away,omitempty"`   // the part that does not answer
	Detail string `json:"detail,omitempty"` // what to look at
}

// livez says that the process serves. It asks nobody: to restart this process would not bring a store back.
func (s *Service) livez(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, health{Status: "alive"})
}

// readyz says whether a request would be served now.
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
		return health{Status: "unavailable", Away: "service", Detail: "It is shutting down: send requests to another instance."}, errShuttingDown
	}
	b, ok := s.bank()
	if !ok {
		return health{Status: "unavailable", Away: s.store, Detail: "There is no connection yet, the service goes on trying: its log says why."}, errNotConnected
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
	return health{Status: "unavailable", Away: away.Part, Detail: "It does not answer: its log, and this service's, say why."}, err
}
