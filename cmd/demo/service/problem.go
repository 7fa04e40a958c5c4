package service

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Problem is the answer to a failed request: a problem according to RFC 9457, as
// application/problem+json. It is also an error, so that functions can return it.
type Problem struct {
	Type   string `json:"type"`   // a URN that names the kind of problem, "about:blank" if the status says everything
	Title  string `json:"title"`  // the kind in words, always the same
	Status int    `json:"status"` // of the answer
	Detail string `json:"detail"` // what happened this time, and what to do

	RequestID string `json:"requestId,omitempty"` // the id in this service's log

	ExpectedVersion *int64     `json:"expectedVersion,omitempty"` // the version that the request expected
	ActualVersion   *int64     `json:"actualVersion,omitempty"`   // the version of the account
	Version         *int64     `json:"version,omitempty"`         // the version with the problem
	CommitID        string     `json:"commitId,omitempty"`        // the write with the unknown outcome
	Size            int        `json:"size,omitempty"`            // bytes
	Limit           int        `json:"limit,omitempty"`           // bytes
	DeletedAt       *time.Time `json:"deletedAt,omitempty"`

	retryAfter time.Duration // whole seconds; 0 omits the header
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
		panic(err) // cannot happen: the values are this package's own
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store") // it may soon be outdated
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
