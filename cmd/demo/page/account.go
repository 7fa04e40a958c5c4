package page

import (
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// accountView is the page of one account.
type accountView struct {
	Number  string
	Path    string
	Owner   string
	Balance bank.Money
	Version int64
	Closed  bool
	Forms   bool // the account is open, and the viewer may move money
	Shown   shown
	Chart   chart
	Rows    []row // the newest first
	Before  int64 // the requested end of the timeline; 0: it ends with the newest event
	Older   string
	Newest  string // link to the newest events; empty if they are on this page
	News    string // describes the newest event in a sentence

	Notice   string
	Deposit  amountForm
	Withdraw amountForm
	Send     sendForm
	Conflict *conflict // nil if none was provoked
}

// shown is the account at the requested version.
type shown struct {
	bank.Status
	Latest         bool
	Earlier, Later int64  // the neighbouring versions; 0 if there is none
	From           string // says what it was loaded from
}

// row is one event in the timeline.
type row struct {
	Version  int64
	Name     string
	Change   string
	Incoming bool
	Balance  bank.Money
	Time     time.Time
	Snapshot bool // the account has a snapshot at this version
	Shown    bool // the last event of the shown state
	Metadata []field
}

// amountForm is the form of a deposit or a withdrawal, with its content.
type amountForm struct {
	ID, Amount string
	Error      string // empty if there is none
}

// asked is the part of an account that a request asks for.
type asked struct {
	version int64 // 0: the newest
	before  int64 // end of the timeline, exclusive; 0: around version
}

func (p *page) showAccount(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var a asked
	for name, number := range map[string]*int64{"version": &a.version, "before": &a.before} {
		if text := query.Get(name); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 1 {
				p.fail(w, r, errNoPage)
				return
			}
			*number = n
		}
	}
	v, err := p.view(r, a)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v.Notice = v.notice(query)
	p.render(w, r, http.StatusOK, "account", v)
}

// view reads an account and returns its view.
func (p *page) view(r *http.Request, a asked) (accountView, error) {
	ctx, number := r.Context(), r.PathValue("number")
	now, err := p.accounts.Account(ctx, number)
	if err != nil {
		return accountView{}, err
	}
	state, before := now, a.before
	if a.version > 0 {
		if state, err = p.accounts.AsOf(ctx, number, a.version); err != nil {
			return accountView{}, err
		}
		if before == 0 {
			before = a.version + entriesPerPage/2
		}
	}
	timeline, chart := spans(now.Version, state.Version, before)
	read := func(s span) iter.Seq2[bank.Entry, error] { return p.accounts.Range(ctx, number, s.first, s.last) }
	h, err := gather(read, timeline, chart)
	if err != nil {
		return accountView{}, err
	}
	newest := rowOf(h.last)
	if h.last.Version != now.Version { // the chart shows only old versions
		for entry, err := range read(span{now.Version, now.Version}) {
			if err != nil {
				return accountView{}, err
			}
			newest = rowOf(entry)
		}
	}
	snapshots, err := p.accounts.Snapshots(ctx, number)
	if err != nil {
		return accountView{}, err
	}
	closed, err := p.accounts.Closed(ctx, number)
	if err != nil {
		return accountView{}, err
	}

	v := accountView{
		Number: number, Path: accountPath(number),
		Owner: now.State.Owner, Balance: now.State.Balance, Version: now.Version, Closed: closed, Forms: !closed && mayWrite(r),
		Shown:    shownOf(state, now.Version),
		Chart:    h.curve.draw(snapshots, state.Version, state.State.Balance),
		Before:   a.before,
		Deposit:  amountForm{ID: newID()},
		Withdraw: amountForm{ID: newID()},
		Send:     sendForm{amountForm: amountForm{ID: newID()}},
	}
	for _, entry := range slices.Backward(h.entries) {
		at := rowOf(entry)
		_, at.Snapshot = slices.BinarySearch(snapshots, entry.Version)
		at.Shown = entry.Version == state.Version
		v.Rows = append(v.Rows, at)
	}
	v.News = fmt.Sprintf("Version %d: %s %s, balance %s", newest.Version, newest.Name, newest.Change, newest.Balance)

	link := func(before int64) string {
		query := url.Values{"version": {strconv.FormatInt(state.Version, 10)}, "before": {strconv.FormatInt(before, 10)}}
		return v.Path + "?" + query.Encode() + "#events"
	}
	if n := len(v.Rows); n > 0 && v.Rows[n-1].Version > 1 {
		v.Older = link(v.Rows[n-1].Version)
	}
	if len(v.Rows) == 0 || v.Rows[0].Version < v.Version {
		v.Newest = link(v.Version + 1)
	}
	return v, nil
}

func shownOf(state bank.Status, last int64) shown {
	s := shown{Status: state, Latest: state.Version == last, Earlier: state.Version - 1}
	if !s.Latest {
		s.Later = state.Version + 1
	}
	switch after := state.Version - state.Snapshot; {
	case state.Snapshot == 0:
		s.From = "loaded from " + count(state.Version, "event")
	case after == 0:
		s.From = fmt.Sprintf("loaded from the snapshot at version %d", state.Snapshot)
	default:
		s.From = fmt.Sprintf("loaded from the snapshot at version %d and %s after it", state.Snapshot, count(after, "event"))
	}
	return s
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func rowOf(entry bank.Entry) row {
	message, context := entry.Metadata.Message, entry.Metadata.Context
	at := row{
		Version: entry.Version,
		Change:  "+" + entry.Change.String(), Incoming: entry.Change >= 0,
		Balance: entry.Balance,
		Time:    context.Timestamp,
	}
	if !at.Incoming {
		at.Change = "−" + strings.TrimPrefix(entry.Change.String(), "-")
	}
	switch data := entry.Data.(type) {
	case bank.AccountOpened:
		at.Name = "Account opened"
	case bank.FundsDeposited:
		at.Name = "Deposit"
	case bank.FundsWithdrawn:
		at.Name = "Withdrawal"
	case bank.FundsSent:
		at.Name = "Sent to " + data.To
	case bank.FundsReceived:
		at.Name = "Received from " + data.From
	case bank.FundsReturned:
		at.Name = "Returned from " + data.To
	}
	for _, f := range []field{
		{"Message id", message.ID},
		{"Type", message.Type},
		{"Schema version", strconv.Itoa(message.SchemaVersion)},
		{"Correlation", context.CorrelationID},
		{"Causation", context.CausationID},
		{"User", context.UserID},
		{"Session", context.SessionID},
		{"Idempotency id", context.IdempotencyID},
		{"Timestamp", context.Timestamp.UTC().Format(time.RFC3339Nano)},
		{"Stored", message.Created.UTC().Format(time.RFC3339Nano)},
		{"Stream", strings.Join([]string{context.PartitionID, message.AggregateType, message.AggregateID}, " / ")},
	} {
		if f.Value == "" {
			f.Value = "none"
		}
		at.Metadata = append(at.Metadata, f)
	}
	for _, key := range slices.Sorted(maps.Keys(entry.Metadata.Custom)) {
		at.Metadata = append(at.Metadata, field{key, entry.Metadata.Custom[key]})
	}
	return at
}

// notice returns the message after a form was sent. It is in the query of the address.
func (v accountView) notice(query url.Values) string {
	version := func(name string) int64 {
		n, _ := strconv.ParseInt(query.Get(name), 10, 64)
		return n
	}
	if stored := version("stored"); stored >= 1 && stored <= v.Version {
		return fmt.Sprintf("Stored as version %d.", stored)
	}
	if repeat := version("repeat"); repeat >= 1 && repeat <= v.Version {
		return fmt.Sprintf("This was stored before as version %d. Nothing was stored twice.", repeat)
	}
	return ""
}
