package eventstore

import (
	"fmt"
	"reflect"
	"slices"
)

// ForAggregates binds a type of events or snapshots to aggregate types. New values of the type can
// then be stored only in streams of these aggregate types, under any of the type's names. A type
// without this option can be stored in every stream. A second use of the option adds to the list.
//
// [Session.Append], [Provider.Append], [Session.Prepare], [Session.SaveSnapshot] and package
// aggregate refuse a value, also a [Raw], that is bound to other aggregate types. They return an
// [ArgumentError] and send and store nothing.
//
// The option does not affect history. Reading, [Session.AppendRecorded] and
// [Session.SaveRecordedSnapshot] ignore it, and so do [Registry.Encode] and [Registry.EncodeFor].
//
// NewRegistry returns an ArgumentError if the option names no aggregate type. It also returns one
// for a name that is repeated, blank, not valid UTF-8 or longer than 200 bytes.
func ForAggregates(aggregateTypes ...string) TypeOption {
	return func(t *typeConfig) error {
		if len(aggregateTypes) == 0 {
			return &ArgumentError{Argument: "ForAggregates", Reason: "it names no aggregate type"}
		}
		t.aggregates = append(t.aggregates, aggregateTypes...)
		return nil
	}
}

func (t *TypeDefinition) checkAggregates() error {
	for i, aggregateType := range t.aggregates {
		err := validateName("ForAggregates", aggregateType)
		if err == nil && slices.Contains(t.aggregates[:i], aggregateType) {
			err = &ArgumentError{Reason: "it is named twice"}
		}
		if bad, ok := err.(*ArgumentError); ok {
			return &ArgumentError{Argument: "ForAggregates",
				Reason: fmt.Sprintf("aggregate type %q of type %q: %s", aggregateType, t.name, bad.Reason)}
		}
	}
	return nil
}

// belongsTo reports whether new values of the type can be stored in streams of an aggregate type.
func (t *TypeDefinition) belongsTo(aggregateType string) bool {
	return len(t.aggregates) == 0 || slices.Contains(t.aggregates, aggregateType)
}

// checkEvents returns an error if the type of an event does not belong to the stream. It encodes
// nothing, so all events are checked before any Sealer is asked for a key.
func (r *Registry) checkEvents(stream Stream, events []any) error {
	for i, data := range events {
		switch event := data.(type) {
		case Event:
			data = event.Data
		case *Event:
			if event != nil {
				data = event.Data
			}
		}
		if t := r.definitionOf(data); t != nil && !t.belongsTo(stream.Type) {
			return t.foreign(fmt.Sprintf("events[%d]", i), stream, data)
		}
	}
	return nil
}

// checkState returns an error if the type of a snapshot's state does not belong to the stream.
func (r *Registry) checkState(stream Stream, state any) error {
	if t := r.definitionOf(state); t != nil && !t.belongsTo(stream.Type) {
		return t.foreign("state", stream, state)
	}
	return nil
}

// definitionOf returns the definition that a value would be stored with, or nil.
func (r *Registry) definitionOf(value any) *TypeDefinition {
	if r == nil || value == nil {
		return nil
	}
	if raw, ok := value.(Raw); ok {
		return r.byName[raw.Type]
	}
	goType := reflect.TypeOf(value)
	if t, ok := r.byType[goType]; ok || goType.Kind() != reflect.Pointer {
		return t
	}
	return r.byType[goType.Elem()]
}

// foreign returns the error for a value whose type does not belong to the stream.
func (t *TypeDefinition) foreign(argument string, stream Stream, value any) error {
	name := fmt.Sprintf("%q", t.name)
	if raw, ok := value.(Raw); ok && raw.Type != t.name {
		name += fmt.Sprintf(" (by its alias %q)", raw.Type)
	}
	return &ArgumentError{Argument: argument,
		Reason: fmt.Sprintf("type %s is bound to the aggregate types %q by ForAggregates, so stream %s can't hold it: nothing was stored",
			name, t.aggregates, stream)}
}
