package projection

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

// Each partition lists the ids of the documents that it has made. An id is in the list before the
// document exists, so a list may name documents that do not exist. Two partitions may list the same
// document. The document says which of them is its home.

const (
	kindList = "list"
	pageIDs  = 200 // ids in a page that is full
)

// list is the list of one partition: full pages, which never change, and the ids after them.
type list struct {
	pages int
	ids   []string
}

func (l list) encode(partition string) []byte {
	w := frame.New(kindList, partition, 40*len(l.ids))
	w.Number("pages", int64(l.pages))
	for _, id := range l.ids {
		w.Line("id", id)
	}
	return w.Finish()
}

func decodeList(partition string, data []byte) (l list, err error) {
	if len(data) == 0 {
		return l, nil
	}
	_, err = frame.Read(data, kindList, partition, func(field, value string) (err error) {
		switch field {
		case "pages":
			l.pages, err = strconv.Atoi(value)
		case "id":
			l.ids = append(l.ids, value)
		}
		return err
	})
	return l, err
}

// add lists ids, in as many pages as they need.
func (s *stage[D]) add(ctx context.Context, ids []string) error {
	failures := 0
	for n := 0; len(ids) > 0; n++ {
		if n > 0 && failures > 0 && !pause.Again(ctx, n) {
			return s.failed(listing, context.Cause(ctx))
		}
		rest, err := s.addOnce(ctx, ids)
		if err == nil {
			ids, failures = rest, 0
			continue
		}
		if failures++; failures >= flushTries {
			return err
		}
	}
	return nil
}

const listing = "list a document"

// addOnce lists some of the ids, and returns the others.
func (s *stage[D]) addOnce(ctx context.Context, ids []string) (rest []string, err error) {
	key, part := s.listKey(s.number), s.shared()
	item := driver.Item{Key: key}
	if s.made || s.listed || !s.looked {
		if item, err = s.state.Get(ctx, part, key); err != nil {
			return nil, s.failed(listing, err)
		}
	}
	s.listed = true
	l, err := decodeList(part, item.Value)
	if err != nil {
		return nil, s.damaged(key, err)
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(l.ids, id) })
	n := min(len(ids), pageIDs-len(l.ids))
	l.ids = append(l.ids, ids[:n]...)
	if len(l.ids) == pageIDs {
		full := driver.Write{Key: s.pageKey(s.number, l.pages), Value: list{ids: l.ids}.encode(part)}
		if err := s.state.Write(ctx, part, []driver.Write{full}); err != nil {
			return nil, s.failed(listing, err)
		}
		l = list{pages: l.pages + 1}
	}
	value := l.encode(part)
	if bytes.Equal(value, item.Value) {
		return nil, nil
	}
	if err := s.state.Swap(ctx, part, driver.Swap{Key: key, Value: value, ETag: item.ETag}); err != nil {
		return nil, s.failed(listing, err) // the next try finds out what is in the list
	}
	return ids[n:], nil
}

// keys

// common returns the partition of the store of what all versions share.
func (p *Projection[D]) common() string {
	plain := func(s string) string { return strings.ReplaceAll(frame.Escape(s), ".", "%2E") }
	return ":projection:" + plain(p.feed.Name()) + "." + plain(p.name)
}

func (p *Projection[D]) activeKey() string { return "{" + p.common() + "}:active" }

// shared returns the partition of the store of what all documents of the version share.
func (p *Projection[D]) shared() string { return p.common() + "." + strconv.Itoa(p.version) }

func (p *Projection[D]) listKey(partition int) string {
	return fmt.Sprintf("{%s}:list:%d", p.shared(), partition)
}

func (p *Projection[D]) pageKey(partition, page int) string {
	return fmt.Sprintf("{%s}:list:%d:%d", p.shared(), partition, page)
}

// part returns the partition of the store in which a document is.
func (p *Projection[D]) part(id string) string { return p.shared() + ":" + frame.Escape(id) }

func (p *Projection[D]) key(id string) string { return "{" + p.part(id) + "}:document" }
