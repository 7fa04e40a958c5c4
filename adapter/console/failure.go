package console

import (
	"context"
	"errors"
	"net/http"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/internal/followers"
)

// failures lists errors with the status and the title of their pages. [statusOf] knows the errors
// of the store.
var failures = []struct {
	is     error
	status int
	title  string
}{
	{errNoPage, http.StatusNotFound, "Page not found"},
	{errNoStream, http.StatusNotFound, "No such stream"},
	{errNoVersion, http.StatusNotFound, "No such version"},
	{errNoPosition, http.StatusNotFound, "No such position"},
	{errBadStream, http.StatusBadRequest, "Not a stream"},
	{errBadQuery, http.StatusBadRequest, "Invalid address"},
	{errBadForm, http.StatusBadRequest, "Invalid form"},
	{errTooMany, http.StatusServiceUnavailable, "Too many live updates"},
	{errForeign, http.StatusForbidden, "Request from another site"},
	{errHost, http.StatusMisdirectedRequest, "Unknown host"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "The store takes too long"},
}

// statusOf returns the status of an error, and a title for it.
func statusOf(err error) (status int, title string) {
	for _, f := range failures {
		if errors.Is(err, f.is) {
			return f.status, f.title
		}
	}
	if _, ok := errors.AsType[*eventstore.DamagedError](err); ok {
		return http.StatusInternalServerError, "Something is damaged"
	}
	if _, ok := errors.AsType[*followers.ChangedError](err); ok {
		return http.StatusConflict, "Another event is parked now"
	}
	if _, ok := errors.AsType[*subscription.NotFoundError](err); ok {
		return http.StatusNotFound, "No such projection"
	}
	if _, ok := errors.AsType[*eventstore.StorageError](err); ok {
		return http.StatusServiceUnavailable, "The store does not answer"
	}
	return http.StatusInternalServerError, "This did not work"
}

// failureView is the page of an error. The console is for operators, so it says all of it.
type failureView struct {
	Status      int
	Title, Text string
}

// fail answers with an error's status and text.
func (c *console) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return // the client is gone
	}
	v := failureView{Text: visible(err.Error())}
	v.Status, v.Title = statusOf(err)
	if v.Status >= http.StatusInternalServerError {
		c.log.WarnContext(r.Context(), "a page of the console failed", "status", v.Status, "error", err)
	}
	if err := c.render(w, v.Status, "failure", v); err != nil {
		http.Error(w, v.Title, v.Status)
	}
}
