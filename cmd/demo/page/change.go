package page

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
)

// change is the common signature of deposits and withdrawals.
type change = func(ctx context.Context, number string, amount bank.Money, c bank.Command) (bank.Status, error)

func (p *page) deposit(w http.ResponseWriter, r *http.Request) {
	p.change(w, r, p.accounts.Deposit, func(m bank.Money) any { return bank.FundsDeposited{Amount: m} }, func(v *accountView) *amountForm { return &v.Deposit })
}

func (p *page) withdraw(w http.ResponseWriter, r *http.Request) {
	p.change(w, r, p.accounts.Withdraw, func(m bank.Money) any { return bank.FundsWithdrawn{Amount: m} }, func(v *accountView) *amountForm { return &v.Withdraw })
}

// change makes the change of a form. It shows an error about the amount next to the form, and any
// other error on its own page.
func (p *page) change(w http.ResponseWriter, r *http.Request, do change, event func(bank.Money) any, formOf func(*accountView) *amountForm) {
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
		if err == nil && after.RepeatOf > 0 {
			err = p.sameForm(r.Context(), number, after.RepeatOf, event(amount))
		}
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

// sameForm returns an error if another form was stored under the form's id at that version. The
// sender must not believe that its change was made.
func (p *page) sameForm(ctx context.Context, number string, version int64, event any) error {
	err := service.SameCommand(ctx, p.accounts, number, version, event)
	if reused := (*service.Problem)(nil); errors.As(err, &reused) {
		return errReused
	}
	return err
}
