package page

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// sendForm is the form that sends money to another account.
type sendForm struct {
	amountForm
	To string
}

// send sends the money of a form to another account. It shows an error about the form next to it,
// and any other error on its own page.
func (p *page) send(w http.ResponseWriter, r *http.Request) {
	if err := readForm(r); err != nil {
		p.fail(w, r, err)
		return
	}
	form := sendForm{
		amountForm: amountForm{ID: r.PostFormValue("id"), Amount: strings.TrimSpace(r.PostFormValue("amount"))},
		To:         strings.ToUpper(strings.TrimSpace(r.PostFormValue("to"))),
	}
	number := r.PathValue("number")
	amount, err := parseAmount(form.Amount)
	if err != nil {
		form.Error = err.Error()
	} else {
		c := command(r)
		id := bank.TransferID(number, c.ID)
		crash := r.PostFormValue("crash") != ""
		if crash {
			p.accounts.CrashNextTransfer()
		}
		var after bank.Status
		after, err = p.accounts.Send(r.Context(), number, form.To, id, amount, c)
		if err == nil && after.RepeatOf > 0 {
			err = p.sameForm(r.Context(), number, after.RepeatOf, bank.FundsSent{Amount: amount, To: form.To, Transfer: id})
		}
		switch {
		case err == nil && crash:
			http.Redirect(w, r, "/transfers/"+url.PathEscape(id)+"?sent", http.StatusSeeOther)
			return
		case err == nil:
			redirectStored(w, r, number, after)
			return
		case errors.Is(err, bank.ErrInsufficientFunds), errors.Is(err, bank.ErrBadAmount), errors.Is(err, bank.ErrSameAccount), errors.Is(err, bank.ErrBadNumber), errors.Is(err, bank.ErrNoAccount):
			form.Error = err.Error()
		default:
			p.fail(w, r, err)
			return
		}
	}
	v, err := p.view(r, asked{})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v.Send = form
	p.render(w, r, http.StatusUnprocessableEntity, "account", v)
}

// transferView is the page of a transfer.
type transferView struct {
	bank.Transfer
	FromPath, ToPath string
	Done             bool // nothing more will happen
}

// showTransfer shows where the money of a transfer is. It loads itself again until the transfer is
// over.
func (p *page) showTransfer(w http.ResponseWriter, r *http.Request) {
	t, err := p.accounts.Transfer(r.Context(), r.PathValue("id"))
	if errors.Is(err, bank.ErrNoTransfer) && r.URL.Query().Has("sent") {
		err = nil // it was sent just now
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v := transferView{Transfer: t.State, FromPath: accountPath(t.State.From), ToPath: accountPath(t.State.To)}
	switch t.State.Step {
	case bank.Completed, bank.Returned, bank.Held:
		v.Done = true
	default:
		w.Header().Set("Refresh", "1")
	}
	p.render(w, r, http.StatusOK, "transfer", v)
}
