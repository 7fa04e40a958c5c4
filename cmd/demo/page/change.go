package page

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// change is what deposits and withdrawals have in common.
type change = func(ctx context.Context, number string, amount bank.Money, c bank.Command) (bank.Status, error)

func (p *page) deposit(w http.ResponseWriter, r *http.Request) {
	p.change(w, r, p.accounts.Deposit, func(v *accountView) *amountForm { return &v.Deposit })
}

func (p *page) withdraw(w http.ResponseWriter, r *http.Request) {
	p.change(w, r, p.accounts.Withdraw, func(v *accountView) *amountForm { return &v.Withdraw })
}

// change does what a form asks for. What can't be done with the amount is said beside it, all else on a page of its own.
func (p *page) change(w http.ResponseWriter, r *http.Request, do change, formOf func(*accountView) *amountForm) {
	if err := readForm(r); err != nil {
		p.fail(w, r, err)
		return
	}
	form := amountForm{ID: r.PostFormValue("id"), Amount: strings.TrimSpace(r.PostFormValue("amount"))}
	number := r.PathValue("number")
	amount, err := parseAmount(form.Amount)
	if err != nil {
		form.Error = err.Error()
	} else {
		var after bank.Status
		after, err = do(r.Context(), number, amount, command(r))
		switch {
		case err == nil:
			redirectStored(w, r, number, after)
			return
		case errors.Is(err, bank.ErrInsufficientFunds), errors.Is(err, bank.ErrBadAmount):
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
	*formOf(&v) = form
	p.render(w, r, http.StatusUnprocessableEntity, "account", v)
}
