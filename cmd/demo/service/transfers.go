package service

import (
	"net/http"
	"net/url"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// transfer is the JSON form of a transfer.
type transfer struct {
	ID     string     `json:"id"`
	From   string     `json:"from"`
	To     string     `json:"to"`
	Amount bank.Money `json:"amount"`
	Step   bank.Step  `json:"step"`
	Why    string     `json:"why,omitempty"` // it was refused
}

func transferPath(id string) string { return "/api/v1/transfers/" + url.PathEscape(id) }

// send takes money from an account, for another one. What follows is not done yet when it answers.
func send(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	if err := checkQuery(r); err != nil {
		return err
	}
	body, err := decode[struct {
		To              *string     `json:"to"`
		Amount          *bank.Money `json:"amount"`
		ExpectedVersion *int64      `json:"expectedVersion"`
	}](w, r)
	switch {
	case err != nil:
		return err
	case body.To == nil || body.Amount == nil:
		return badRequest("The body must have to and amount")
	}
	c, err := command(r, body.ExpectedVersion)
	if err != nil {
		return err
	}
	number := r.PathValue("number")
	id := bank.TransferID(number, c.ID)
	after, err := accounts.Send(r.Context(), number, *body.To, id, *body.Amount, c)
	if err != nil {
		return err
	}
	if after.RepeatOf > 0 {
		if err := SameCommand(r.Context(), accounts, number, after.RepeatOf, bank.FundsSent{Amount: *body.Amount, To: *body.To, Transfer: id}); err != nil {
			return err
		}
	}
	w.Header().Set("Location", transferPath(id))
	writeJSON(w, http.StatusAccepted, transfer{ID: id, From: number, To: *body.To, Amount: *body.Amount, Step: bank.Sent})
	return nil
}

func readTransfer(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	if err := checkQuery(r); err != nil {
		return err
	}
	id := r.PathValue("id")
	t, err := accounts.Transfer(r.Context(), id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, transfer{ID: id, From: t.State.From, To: t.State.To, Amount: t.State.Amount, Step: t.State.Step, Why: t.State.Why})
	return nil
}
