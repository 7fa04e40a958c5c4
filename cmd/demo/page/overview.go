package page

import (
	"net/http"
	"strings"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// richestShown is the number of accounts in the overview.
const richestShown = 20

// overviewView is the page of the read model.
type overviewView struct {
	bank.Overview
	Rows      []ranked
	Movements []movement
}

type ranked struct {
	bank.Ranked
	Path string
}

type movement struct {
	bank.Movement
	Path     string
	Change   string
	Incoming bool
}

// showOverview shows the richest accounts and the largest movements of today.
func (p *page) showOverview(w http.ResponseWriter, r *http.Request) {
	o, err := p.accounts.Overview(r.Context(), richestShown)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v := overviewView{Overview: o}
	for _, account := range o.Richest {
		v.Rows = append(v.Rows, ranked{account, accountPath(account.Number)})
	}
	for _, m := range o.Largest {
		row := movement{Movement: m, Path: accountPath(m.Number), Incoming: m.Change >= 0, Change: "+" + m.Change.String()}
		if !row.Incoming {
			row.Change = "−" + strings.TrimPrefix(m.Change.String(), "-")
		}
		v.Movements = append(v.Movements, row)
	}
	p.render(w, r, http.StatusOK, "overview", v)
}
