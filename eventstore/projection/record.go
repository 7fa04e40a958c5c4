package projection

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

const kindDocument = "document"

// record is what the store has of a document. Beside the value it holds which items the value
// includes. So an item is applied to a document once, however often it is delivered.
type record struct {
	through map[int]place    // the last item of each partition
	late    map[string]place // the last item of a stream that was parked when later items were applied
	home    int              // the partition that lists the document
	listed  bool
	deleted bool
	value   []byte
}

// includes reports whether the value includes an item of a partition.
func (r record) includes(partition int, stream string, at place) bool {
	if at.entry == 0 {
		return r.late[stream].compare(at) >= 0
	}
	return r.through[partition].compare(at) >= 0
}

// include notes that the value includes an item.
func (r *record) include(partition int, stream string, at place) {
	if at.entry == 0 {
		r.late = maps.Clone(r.late)
		if r.late == nil {
			r.late = map[string]place{}
		}
		r.late[stream] = at
		return
	}
	if _, wasLate := r.late[stream]; wasLate { // it is no longer parked
		r.late = maps.Clone(r.late)
		delete(r.late, stream)
	}
	r.through = maps.Clone(r.through)
	if r.through == nil {
		r.through = map[int]place{}
	}
	r.through[partition] = at
}

func (r record) encode(partition string) []byte {
	w := frame.New(kindDocument, partition, 64*(len(r.through)+len(r.late))+len(r.value))
	if r.listed {
		w.Line("home", strconv.Itoa(r.home))
	}
	for _, n := range slices.Sorted(maps.Keys(r.through)) {
		w.Line("through", fmt.Sprintf("%d %s", n, r.through[n]))
	}
	for _, stream := range slices.Sorted(maps.Keys(r.late)) {
		w.Line("late", fmt.Sprintf("%s %s", r.late[stream], frame.Escape(stream)))
	}
	if r.deleted {
		w.Text("deleted", "yes")
		return w.Finish()
	}
	return w.Finish(r.value)
}

func decodeRecord(partition string, data []byte) (r record, err error) {
	if len(data) == 0 {
		return record{deleted: true}, nil
	}
	r.value, err = frame.Read(data, kindDocument, partition, func(field, value string) (err error) {
		switch field {
		case "home":
			r.home, err = strconv.Atoi(value)
			r.listed = true
		case "through":
			number, at, _ := strings.Cut(value, " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				return err
			}
			if r.through == nil {
				r.through = map[int]place{}
			}
			r.through[n], err = parsePlace(at)
			return err
		case "late":
			i := strings.LastIndexByte(value, ' ')
			if i < 0 {
				return fmt.Errorf("%q names no stream", value)
			}
			stream, err := frame.Unescape(value[i+1:])
			if err != nil {
				return err
			}
			if r.late == nil {
				r.late = map[string]place{}
			}
			r.late[stream], err = parsePlace(value[:i])
			return err
		case "deleted":
			r.deleted = true
		}
		return err
	})
	return r, err
}
