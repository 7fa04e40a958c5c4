package service

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Problem is what a client gets in place of what it asked for: a problem by RFC 9457, as application/problem+json. It is an
// error, so that what finds it can return it.
type Problem struct {
	Type   string `json:"type"`   // a URN that names the kind of problem, "about:blank" where the status says all
	Title  string `json:"title"`  // the kind in words, always the same
	Status int    `json:"status"` // of the answer
	Detail string `json:"detail"` // what happened this time, and what to do

	RequestID string `json:"requestId,omitempty"` // by which this service's log has more

	ExpectedVersion *int64     `json:"expectedVersion,omitempty"` // that the request expected
	ActualVersion   *int64     `json:"actualVersion,omitempty"`   // that the account is at
	Version         *int64     `json:"version,omitempty"`         // that the problem is about
	CommitID        string     `json:"commitId,omitempty"`        // of the write whose outcome is not known
	Size            int        `json:"size,omitempty"`            // bytes
	Limit           int        `json:"limit,omitempty"`           // bytes
	DeletedAt       *time.Time `json:"deletedAt,omitempty"`

	retryAfter time.Duration // whole seconds; 0: the header is left out
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

func problemType(name string) string { return "urn:problem:bank:" + name }

// refuse answers with a problem.
func refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	q := *p
	q.RequestID = Origin(r.Context()).CorrelationID
	if q.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(q.retryAfter/time.Second)))
	}
	write(w, q.Status, "application/problem+json", q)
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, value any) {
	write(w, status, "application/json", value)
}

func write(w http.ResponseWriter, status int, contentType string, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // the values are this package's own
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store") // the next moment it may be wrong
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
