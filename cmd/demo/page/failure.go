package page

import (
	"context"
	"errors"
	"net/http"

	"github.com/hexalith/eventstores-go/cmd/demo/service"
)

// failures lists the errors that only pages have, with their status and title. The API defines the
// others.
var failures = []struct {
	is     func(error) bool
	status int
	title  string
}{
	{is(errNoPage), http.StatusNotFound, "Page not found"},
	{is(errBadForm), http.StatusBadRequest, "Invalid form"},
	{is(errBadAddress), http.StatusBadRequest, "Invalid address"},
	{is(errForeign), http.StatusForbidden, "Request from another site"},
	{is(errBody), http.StatusBadRequest, "Unexpected body"},
	{is(errReused), http.StatusUnprocessableEntity, "The form belongs to another change"},
	{is(errTooManyOfOne), http.StatusTooManyRequests, "Too many live updates"},
	{tooLarge, http.StatusRequestEntityTooLarge, "The form is too large"},
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func tooLarge(err error) bool { return errors.As(err, new(*http.MaxBytesError)) }

// statusOf returns the status of an error, and a title for it.
func statusOf(err error) (status int, title string) {
	for _, f := range failures {
		if f.is(err) {
			return f.status, f.title
		}
	}
	problem := service.ProblemOf(err)
	return problem.Status, problem.Title
}

// textOf returns the text of an error for people. Internal details such as addresses, keys and
// damage are only in the log.
func textOf(err error) string {
	if status, _ := statusOf(err); status >= http.StatusInternalServerError {
		return service.ProblemOf(err).Detail
	}
	return err.Error()
}

// failureView is the page of an error.
type failureView struct {
	Status  int
	Title   string
	Text    string // see textOf
	Request string // the id in the log; empty if the log has nothing
	Account string // the account to go back to; empty if there is none
	Again   *again // nil if sending the form again would not help
}

// again is a form that can be sent again. Its id prevents that it is stored twice.
type again struct {
	Action string
	Fields []field
}

type field struct{ Name, Value string }

// fail answers with an error's status and text.
func (p *page) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return // the client is gone
	}
	v := failureView{Text: textOf(err)}
	v.Status, v.Title = statusOf(err)
	if v.Status >= http.StatusInternalServerError {
		v.Request = service.Origin(r.Context()).CorrelationID
		p.log.ErrorContext(r.Context(), "page failed", "request", v.Request, "method", r.Method, "path", r.URL.Path, "status", v.Status, "error", err)
	}
	if v.Status != http.StatusNotFound && v.Status != http.StatusGone && v.Status != http.StatusBadRequest {
		v.Account = r.PathValue("number")
	}
	if r.Method == http.MethodPost {
		switch v.Status {
		case http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusLocked:
			w.Header().Set("Retry-After", "2")
			v.Again = &again{Action: r.URL.Path}
			for _, name := range []string{"id", "number", "owner", "amount"} {
				if value := r.PostFormValue(name); value != "" {
					v.Again.Fields = append(v.Again.Fields, field{name, value})
				}
			}
		}
	}
	p.render(w, r, v.Status, "failure", v)
}
