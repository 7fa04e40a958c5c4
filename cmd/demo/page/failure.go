package page

import (
	"context"
	"errors"
	"net/http"

	"github.com/hexalith/eventstores-go/cmd/demo/service"
)

// failures are the errors of the pages alone, and what one says of them. The others are what they are to the API.
var failures = []struct {
	is     func(error) bool
	status int
	title  string
}{
	{is(errNoPage), http.StatusNotFound, "There is no such page"},
	{is(errBadForm), http.StatusBadRequest, "The form can't be read"},
	{is(errBadAddress), http.StatusBadRequest, "The address can't be read"},
	{is(errForeign), http.StatusForbidden, "Not from another site"},
	{is(errBody), http.StatusBadRequest, "There is no place for a body"},
	{is(errReused), http.StatusUnprocessableEntity, "The form belongs to another change"},
	{is(errTooManyOfOne), http.StatusTooManyRequests, "Too many live updates"},
	{tooLarge, http.StatusRequestEntityTooLarge, "That is too large"},
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func tooLarge(err error) bool { return errors.As(err, new(*http.MaxBytesError)) }

// statusOf is the status of an error, and a title for it.
func statusOf(err error) (status int, title string) {
	for _, f := range failures {
		if f.is(err) {
			return f.status, f.title
		}
	}
	problem := service.ProblemOf(err)
	return problem.Status, problem.Title
}

// textOf is what people are told of an error. What went wrong inside is not for them: addresses,
// keys and damage are for the log alone.
func textOf(err error) string {
	if status, _ := statusOf(err); status >= http.StatusInternalServerError {
		return service.ProblemOf(err).Detail
	}
	return err.Error()
}

// failureView is a page that says what went wrong.
type failureView struct {
	Status  int
	Title   string
	Text    string // see textOf
	Request string // the id by which the log has more; empty: there is none
	Account string // to go back to; empty: there is none
	Again   *again // nil: sending it again would not help
}

// again is a form that was sent and can be sent once more, as it was. Its id keeps it from being stored twice.
type again struct {
	Action string
	Fields []field
}

type field struct{ Name, Value string }

// fail answers with an error's status, and what people are told of it.
func (p *page) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return // nobody reads it
	}
	v := failureView{Text: textOf(err)}
	v.Status, v.Title = statusOf(err)
	if v.Status >= http.StatusInternalServerError {
		v.Request = service.Origin(r.Context()).CorrelationID
		p.log.ErrorContext(r.Context(), "a page was answered with an error", "request", v.Request, "method", r.Method, "path", r.URL.Path, "status", v.Status, "error", err)
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
