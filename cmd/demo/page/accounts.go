package page

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// accountsPerPage is the number of accounts on one page. The page loads each of them.
const accountsPerPage = 50

// accountsView is a page of the list of accounts.
type accountsView struct {
	Accounts []listed
	Later    bool  // the list begins earlier than this page
	Next     int64 // where the next page begins; 0 if there is none
	Form     openForm
	Forms    bool // the viewer may open an account
}

// listed is one account in the list.
type listed struct {
	Number, Path string
	Owner        string
	Balance      bank.Money
	Version      int64
	Trouble      string // why the account cannot be shown; empty if it can
}

// openForm is the form that opens an account, with its content.
type openForm struct {
	ID, Number, Owner, Amount string
	Error                     string // empty if there is none
	Wrong                     string // the field with the error
}

func (p *page) listAccounts(w http.ResponseWriter, r *http.Request) {
	p.renderAccounts(w, r, http.StatusOK, openForm{ID: newID()})
}

func (p *page) renderAccounts(w http.ResponseWriter, r *http.Request, status int, form openForm) {
	v := accountsView{Form: form, Forms: mayWrite(r)}
	from := int64(1)
	if text := r.URL.Query().Get("from"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			p.fail(w, r, errNoPage)
			return
		}
		from, v.Later = n, n > 1
	}
	accounts, more, err := p.accounts.List(r.Context(), feed.Position(from-1), accountsPerPage)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if v.Later && len(accounts) == 0 {
		p.fail(w, r, errNoPage)
		return
	}
	if more {
		v.Next = int64(accounts[len(accounts)-1].Position) + 1
	}
	for _, account := range accounts {
		number := account.Number
		entry := listed{Number: number, Path: accountPath(number)}
		account, err := p.accounts.Account(r.Context(), number)
		switch {
		case errors.Is(err, bank.ErrNoAccount):
			entry.Trouble = "lost by the store"
		case errors.As(err, new(*eventstore.StreamDeletedError)):
			entry.Trouble = "deleted"
		case errors.As(err, new(*eventstore.DamagedError)):
			entry.Trouble = "damaged; see the log of the service"
			p.log.ErrorContext(r.Context(), "cannot list an account", "request", service.Origin(r.Context()).CorrelationID, "error", err)
		case err != nil:
			p.fail(w, r, err)
			return
		}
		entry.Owner, entry.Balance, entry.Version = account.State.Owner, account.State.Balance, account.Version
		v.Accounts = append(v.Accounts, entry)
	}
	p.render(w, r, status, "accounts", v)
}

// open opens the account of a form.
func (p *page) open(w http.ResponseWriter, r *http.Request) {
	if err := readForm(r); err != nil {
		p.fail(w, r, err)
		return
	}
	form := openForm{
		ID:     r.PostFormValue("id"),
		Number: strings.ToUpper(strings.TrimSpace(r.PostFormValue("number"))),
		Owner:  strings.TrimSpace(r.PostFormValue("owner")),
		Amount: strings.TrimSpace(r.PostFormValue("amount")),
	}
	amount, err := bank.Money(0), error(nil)
	if form.Amount != "" {
		amount, err = parseAmount(form.Amount)
	}
	if err != nil {
		form.Error, form.Wrong = err.Error(), "amount"
		p.renderAccounts(w, r, http.StatusUnprocessableEntity, form)
		return
	}
	account, err := p.accounts.Open(r.Context(), form.Number, form.Owner, amount, command(r))
	for _, wrong := range []struct {
		err   error
		field string
	}{{bank.ErrBadNumber, "number"}, {bank.ErrAccountExists, "number"}, {bank.ErrNoOwner, "owner"}, {bank.ErrBadAmount, "amount"}} {
		if errors.Is(err, wrong.err) {
			form.Error, form.Wrong = wrong.err.Error(), wrong.field
			status, _ := statusOf(err)
			if wrong.err == bank.ErrBadNumber {
				status = http.StatusUnprocessableEntity
			}
			p.renderAccounts(w, r, status, form)
			return
		}
	}
	if err == nil && account.RepeatOf > 0 {
		err = p.sameForm(r.Context(), form.Number, account.RepeatOf, bank.AccountOpened{Owner: form.Owner, Amount: amount})
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	redirectStored(w, r, form.Number, account)
}

func accountPath(number string) string { return "/accounts/" + url.PathEscape(number) }

// redirectStored redirects to the account, which shows what was stored.
func redirectStored(w http.ResponseWriter, r *http.Request, number string, after bank.Status) {
	query := "?stored=" + strconv.FormatInt(after.Version, 10)
	if after.RepeatOf > 0 {
		query = "?repeat=" + strconv.FormatInt(after.RepeatOf, 10)
	}
	http.Redirect(w, r, accountPath(number)+query, http.StatusSeeOther)
}

// readForm parses the form of a request. The form must be UTF-8 and have each field at most once.
func readForm(r *http.Request) error {
	if _, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8") {
		return errBadForm
	}
	err := r.ParseForm()
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return err
	case err != nil || !service.ValidText(r.PostForm):
		return errBadForm
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return errBadForm
		}
	}
	return nil
}
