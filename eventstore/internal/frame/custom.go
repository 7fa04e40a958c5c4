package frame

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// customField is the prefix of the record fields that hold custom metadata. The escaped key
// follows.
const customField = "custom."

// Custom writes one field for each entry, sorted by key, so that equal metadata has equal bytes. It
// writes empty values too.
func (w *Writer) Custom(custom map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(custom)) {
		w.Line(customField+Escape(key), custom[key])
	}
}

// ReadCustom adds a record field to the custom metadata if it is an entry. It ignores other fields.
func ReadCustom(custom *map[string]string, field, value string) error {
	escaped, ok := strings.CutPrefix(field, customField)
	if !ok {
		return nil
	}
	key, err := Unescape(escaped)
	if err != nil {
		return err
	}
	if _, twice := (*custom)[key]; twice {
		return errors.New("a custom entry is stored twice")
	}
	if *custom == nil {
		*custom = map[string]string{}
	}
	(*custom)[key] = value
	return nil
}
