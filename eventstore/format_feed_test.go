package eventstore

import (
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

const formatFeed journal.Feed = "Ä/all.%"

// storedFeedRecords lists the files of testdata/format that belong to a feed.
func storedFeedRecords() []storedRecord {
	at := func(number int64) journal.Slot { return journal.Slot{Journal: "t5k2q1x7f3ab", Number: number} }
	commit, when := "0198c0de-0000-7000-8000-000000000001", time.Date(2025, 8, 19, 7, 30, 0, 1e6, time.UTC)
	entry := func(file string, e journal.Entry) storedRecord {
		return storedRecord{file, func() []byte { return e.Encode(formatFeed) },
			func(data []byte) (any, error) { return journal.DecodeEntry(formatFeed, e.Slot, data) }, e}
	}
	root := func(file string, r journal.Root) storedRecord {
		return storedRecord{file, func() []byte { return r.Encode(formatFeed) },
			func(data []byte) (any, error) { return journal.DecodeRoot(formatFeed, data) }, r}
	}
	names := journal.NamesPage{Position: 17, Names: []journal.Name{
		{Stream: formatName, Position: 3, Begun: true, Time: when}, {Stream: "EventStores:BankAccount:1", Position: 17},
	}}
	page := journal.Page{Version: 9, Batch: journal.Batch{First: journal.PageEntries + 1, Time: when}}
	for n := range journal.PageEntries {
		page.Entries = append(page.Entries, journal.Entry{Slot: at(int64(n) + 1), What: journal.Appended, Stream: "d:t:i", From: int64(n) + 1, To: int64(n) + 1})
	}
	batch := journal.Batch{First: 17, Time: when, Entries: []journal.Entry{
		{Slot: at(1), What: journal.Named, Stream: formatName},
		{Slot: at(2), What: journal.Appended, Stream: formatName, From: 1, To: 3, Time: when, Types: []string{"Account Opened\n", "%", "é"}},
		{Slot: journal.Slot{Journal: "t5k2q1zw0c9d", Number: 7}, What: journal.Adopted, Stream: formatName, From: 4, To: 4},
		{Slot: at(3), What: journal.Closed, Stream: formatName, From: 5, To: 4, Time: when},
		{Slot: at(4), What: journal.Deleted, Stream: formatName, From: 5, To: 5, Time: when},
		{Slot: at(6), What: journal.Ended},
	}}
	state := journal.State{Position: 22, Kept: 22, Vector: journal.Vector{
		"t5k2q1x7f3ab": {High: 6, Ended: true}, "t5k2q1zw0c9d": {High: 9, Open: []int64{3, 8}}, "u": {High: 1},
	}}
	return []storedRecord{
		entry("entry-named", journal.Entry{Slot: at(1), What: journal.Named, Stream: formatName}),
		entry("entry-appended", journal.Entry{Slot: at(2), What: journal.Appended, Stream: formatName, From: 1, To: 3,
			After: journal.Slot{Journal: "t5k2q1zw0c9d", Number: 9}, Commit: commit, Time: when, Types: []string{"Account Opened\n", "%", "é"}}),
		entry("entry-adopted", journal.Entry{Slot: at(3), What: journal.Adopted, Stream: formatName, From: 4, To: 9, After: at(2)}),
		entry("entry-closed", journal.Entry{Slot: at(4), What: journal.Closed, Stream: formatName, From: 10, To: 9, After: at(3), Commit: commit, Time: when}),
		entry("entry-deleted", journal.Entry{Slot: at(5), What: journal.Deleted, Stream: formatName, From: 10, To: 10, After: at(4), Commit: commit, Time: when}),
		entry("entry-ended", journal.Entry{Slot: at(9), What: journal.Ended, Void: []int64{6, 8}}),
		root("root", journal.Root{{ID: "t5k2q1x7f3ab"}, {ID: "t5k2q1zw0c9d", Wake: 12}}),
		{"names", func() []byte { return names.Encode(formatFeed) },
			func(data []byte) (any, error) { return journal.DecodeNames(formatFeed, data) }, names},
		{"name-begun", func() []byte { return journal.EncodeMark(formatFeed, names.Names[0]) },
			func(data []byte) (any, error) { return journal.DecodeMark(formatFeed, data) }, true},
		{"name-named", func() []byte { return journal.EncodeMark(formatFeed, names.Names[1]) },
			func(data []byte) (any, error) { return journal.DecodeMark(formatFeed, data) }, false},
		{"log-page", func() []byte { return page.Encode(formatFeed) },
			func(data []byte) (any, error) { return journal.DecodePage(formatFeed, 1, data) }, page},
		{"log-batch", batch.Encode, func(data []byte) (any, error) { return journal.DecodeBatch(data) }, batch},
		{"log-state", state.Encode, func(data []byte) (any, error) { return journal.DecodeState(data) }, state},
	}
}
