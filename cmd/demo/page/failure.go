package page

import (
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

// failureView is a page that says what went wrong.
type failureView struct {
	Status  int
	Title   string
	Text    string // the error's own
	Account string // to go back to; empty: there is none
	Again   *again // nil: sending it again would not help
}

// again is a form that was sent and can be sent once more, as it was. Its id keeps it from being stored twice.
type again struct {
	Action string
	Fields []field
}

type field struct{ Name, Value string }

// fail answers with an error's status and its own text.
func (p *page) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody reads it
	}
	v := failureView{Text: err.Error()}
	v.Status, v.Title = statusOf(err)
	if v.Status >= http.StatusInternalServerError {
		p.log.ErrorContext(r.Context(), "a page was answered with an error", "method", r.Method, "path", r.URL.Path, "status", v.Status, "error", err)
	}
	if v.Status != http.StatusNotFound && v.Status != http.StatusGone && v.Status != http.StatusBadRequest {
		v.Account = r.PathValue("number")
	}
	if r.Method == http.MethodPost {
		switch v.Status {
		case http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusLocked:
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
