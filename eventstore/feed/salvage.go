package feed

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file reads what is legible of damaged records. It is used only where a wrong answer does no
// harm: to know where to look.

// legible returns the values of a field in the lines of a damaged record.
func legible(data []byte, field string) (values []string) {
	for line := range bytes.Lines(data) {
		if value, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), field+"="); ok {
			if value, err := frame.Unescape(value); err == nil {
				values = append(values, value)
			}
		}
	}
	return values
}

// legibleStream returns the name of the stream that a damaged entry is about, if it can be one.
func legibleStream(data []byte) (name string, ok bool) {
	values := legible(data, "of")
	if len(values) != 1 {
		return "", false
	}
	s, err := eventstore.ParseStream(values[0])
	return values[0], err == nil && s.Database != ""
}

// legibleRoot returns the journals that a damaged root names, as far as they are legible, and the
// ETag of the root.
func (f *Feed) legibleRoot(ctx context.Context) (root journal.Root, etag string, err error) {
	item, err := f.inside.State().Get(ctx, journal.RootPartition, journal.RootKey)
	if err != nil {
		return nil, "", f.failed(verifying, err)
	}
	for _, value := range legible(item.Value, "journal") {
		id, _, _ := strings.Cut(value, " ")
		if journal.ValidID(id) && !root.Names(id) {
			root = append(root, journal.Listed{ID: id})
		}
	}
	return slices.Clip(root), item.ETag, nil
}
