package chaos

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// verdict is what is wrong with a stream, if anything.
type verdict struct {
	lost            int // acknowledged appends that are missing, or at another version than acknowledged
	torn            int // appends that are incomplete or not in one piece, and reads of a part of an append
	doubled         int // appends and idempotency ids that occur more than once, and refused appends that occur
	changed         int // reads that saw other events than the final ones
	notLinearizable bool
	complaints      []string
}

func (v *verdict) sound() bool {
	return len(v.complaints) == 0 && v.lost+v.torn+v.doubled+v.changed == 0 && !v.notLinearizable
}

func (v *verdict) complain(count *int, format string, args ...any) {
	if count != nil {
		*count++
	}
	v.complaints = append(v.complaints, fmt.Sprintf(format, args...))
}

// judge compares what clients were told of a stream with what it holds in the end.
func judge(h *streamHistory, final []stored) verdict {
	var v verdict
	for i, event := range final {
		if event.Version != int64(i)+1 {
			v.complain(&v.lost, "got version %d, want %d: there is a gap", event.Version, i+1)
			return v // the further checks would make no sense
		}
	}
	places := v.places(h, final)
	for _, a := range h.appends {
		base, there := places[a.name]
		v.append(a, base, there, final)
	}
	v.idempotencyIDs(final)
	for _, r := range h.reads {
		v.read(r, final)
	}
	v.linearizable(h, places)
	return v
}

// places returns the base version of each append, which is the version before its first event. It
// complains about appends that are not whole.
func (v *verdict) places(h *streamHistory, final []stored) map[string]int64 {
	sent := map[string]*appended{}
	for _, a := range h.appends {
		sent[a.name] = a
	}
	versions := map[string][]int64{}
	for _, event := range final {
		if sent[event.Append] == nil {
			v.complain(nil, "version %d is of append %q, which no client has made", event.Version, event.Append)
			continue
		}
		versions[event.Append] = append(versions[event.Append], event.Version)
	}
	places := map[string]int64{}
	for name, at := range versions {
		places[name] = at[0] - 1
		parts := map[int]int{}
		ordered := true
		for i, version := range at {
			event := final[version-1]
			parts[event.Part]++
			ordered = ordered && version == at[0]+int64(i) && event.Part == i && event.Of == sent[name].events
		}
		twice := len(parts) < len(at)
		switch {
		case twice:
			v.complain(&v.doubled, "append %s of %d events is stored more than once, at versions %v", name, sent[name].events, at)
		case len(at) != sent[name].events:
			v.complain(&v.torn, "append %s is torn: of its %d events %d are stored, at versions %v", name, sent[name].events, len(at), at)
		case !ordered:
			v.complain(&v.torn, "append %s is torn: its events are at versions %v, not in one piece and in order", name, at)
		}
	}
	return places
}

// append compares what the client was told about one append with the stream.
func (v *verdict) append(a *appended, base int64, there bool, final []stored) {
	switch {
	case a.outcome == acknowledged && !there:
		v.complain(&v.lost, "append %s was acknowledged at version %d but is lost", a.name, a.version)
	case a.outcome == acknowledged && base+int64(a.events) != a.version:
		v.complain(&v.lost, "append %s was acknowledged at version %d but ends at %d", a.name, a.version, base+int64(a.events))
	case a.outcome == refused && there:
		v.complain(&v.doubled, "append %s was refused but is stored at version %d: %s", a.name, base+1, a.err)
	case there && a.expected >= 0 && a.expected != base:
		v.complain(nil, "append %s expected version %d but follows version %d", a.name, a.expected, base)
	}
	if a.used != 0 && (a.used < 0 || a.used > int64(len(final)) || final[a.used-1].Idem != a.idem) {
		v.complain(nil, "append %s was refused because of idempotency id %q at version %d, but the id is not there", a.name, a.idem, a.used)
	}
}

func (v *verdict) idempotencyIDs(final []stored) {
	used := map[string]int64{}
	for _, event := range final {
		if event.Idem == "" {
			continue
		}
		if before := used[event.Idem]; before != 0 {
			v.complain(&v.doubled, "idempotency id %q is stored twice, at versions %d and %d", event.Idem, before, event.Version)
		}
		used[event.Idem] = event.Version
	}
}

// read compares what a read saw with the final events.
func (v *verdict) read(r *read, final []stored) {
	switch {
	case r.To > int64(len(final)):
		v.complain(&v.lost, "%s saw version %d, but the stream ends at %d", r.client, r.To, len(final))
	case r.Digest != "" && digestOf(final[r.From-1:max(r.To, r.From-1)]) != r.Digest:
		v.complain(&v.changed, "%s saw other events in versions %d to %d than the stream has", r.client, r.From, r.To)
	case r.Complete && r.To > 0 && r.To < int64(len(final)) && final[r.To-1].Append == final[r.To].Append:
		v.complain(&v.torn, "%s saw append %s only up to version %d", r.client, final[r.To].Append, r.To)
	}
}

// step is one operation for porcupine. The state of a stream is the number of its final events that
// exist so far.
type step struct {
	base   int64 // of an append; -1 for a read
	events int64
	at     int64 // of a read: the version of the stream
	least  bool  // the stream was at that version or later
}

var model = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, _ any) (bool, any) {
		n, s := state.(int64), input.(step)
		switch {
		case s.base >= 0:
			return s.base == n, n + s.events
		case s.least:
			return s.at <= n, n
		}
		return s.at == n, n
	},
}

// linearizable checks that all operations can have taken effect one after the other, each between
// its begin and its end. An append of unknown outcome has no end. If it is missing from the stream,
// it never took effect.
func (v *verdict) linearizable(h *streamHistory, places map[string]int64) {
	var operations []porcupine.Operation
	add := func(s step, began, ended int64) {
		operations = append(operations, porcupine.Operation{ClientId: len(operations), Input: s, Call: began, Return: ended})
	}
	for _, a := range h.appends {
		base, there := places[a.name]
		ended := a.ended
		if ended == 0 {
			ended = math.MaxInt64
		}
		switch {
		case there:
			add(step{base: base, events: int64(a.events)}, a.began, ended)
		case a.used > 0:
			add(step{base: -1, at: a.used, least: true}, a.began, ended)
		}
	}
	for _, r := range h.reads {
		if r.Current {
			add(step{base: -1, at: r.To}, r.Began, r.Ended)
		}
	}
	if len(operations) == 0 {
		return
	}
	switch porcupine.CheckOperationsTimeout(model, operations, time.Minute) {
	case porcupine.Illegal:
		v.notLinearizable = true
		v.complain(nil, "the history is not linearizable")
	case porcupine.Unknown:
		v.notLinearizable = true
		v.complain(nil, "the history of %d operations is too long to check whether it is linearizable", len(operations))
	}
}
