package eventtest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// dump returns a value and all that it refers to as text, one line per part. Two dumps show whether
// the value was changed.
func dump(value any) string {
	var d dumper
	d.value("", reflect.ValueOf(value))
	return d.text.String()
}

type dumper struct {
	text strings.Builder
	on   []uintptr // the pointers that lead here
}

func (d *dumper) value(path string, v reflect.Value) {
	line := func(format string, args ...any) {
		fmt.Fprintf(&d.text, "%s: %s\n", path, fmt.Sprintf(format, args...))
	}
	switch v.Kind() {
	case reflect.Invalid:
		line("nil")
	case reflect.Pointer, reflect.Map:
		if v.IsNil() {
			line("nil")
			return
		}
		if slices.Contains(d.on, v.Pointer()) {
			line("cycle")
			return
		}
		d.on = append(d.on, v.Pointer())
		defer func() { d.on = d.on[:len(d.on)-1] }()
		if v.Kind() == reflect.Pointer {
			d.value(path, v.Elem())
			return
		}
		line("%d entries", v.Len())
		entries := make([]string, 0, v.Len())
		for key, value := range v.Seq2() {
			name := dumper{on: d.on}
			name.value("", key)
			entry := dumper{on: d.on}
			entry.value(path+"["+strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(name.text.String(), "\n", " "), ": ", ""))+"]", value)
			entries = append(entries, entry.text.String())
		}
		slices.Sort(entries)
		d.text.WriteString(strings.Join(entries, ""))
	case reflect.Interface:
		if v.IsNil() {
			line("nil")
			return
		}
		d.value(path+"("+v.Elem().Type().String()+")", v.Elem())
	case reflect.Slice, reflect.Array:
		line("%d elements", v.Len())
		for i := range v.Len() {
			d.value(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			d.value(path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		line("%v", v.Pointer())
	case reflect.String:
		line("%q", v.String())
	default:
		line("%v", v)
	}
}
