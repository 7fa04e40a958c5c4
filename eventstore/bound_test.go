package eventstore

import (
	"reflect"
	"strings"
	"testing"
)

// bound returns a registry that binds noted and nested to aggregate types other than labStream's.
func bound(t *testing.T) *Registry {
	t.Helper()
	r, err := NewRegistry(
		Type[noted]("noted", WithAliases("remarked"), ForAggregates("customer"), ForAggregates("supplier")),
		Type[*nested]("nested", ForAggregates("customer")),
		Type[owner]("owner", ForAggregates("customer", labStream.Type)),
		Type[amount]("amount"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var remarked = Raw{Type: "remarked", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"Text":"a"}`)}

func TestAnEventOfATypeForOtherAggregatesIsRefused(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.provider(WithRegistry(bound(t)))
		s := l.open(WithRegistry(bound(t)))
		l.Trace()
		for name, event := range map[string]any{
			"a value":              noted{"a"},
			"a pointer":            &noted{"a"},
			"a registered pointer": &nested{},
			"an Event":             Event{Data: noted{"a"}},
			"a pointer to one":     &Event{Data: &noted{"a"}},
			"a Raw":                Raw{Type: "noted", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"Text":"a"}`)},
			"a Raw by alias":       remarked,
			"an Event of a Raw":    Event{Data: remarked},
		} {
			_, appended := s.Append(t.Context(), ExpectAny(), owner{"Ada"}, event)
			_, atOnce := p.Append(t.Context(), labStream, ExpectAny(), owner{"Ada"}, event)
			_, prepared := s.Prepare(0, owner{"Ada"}, event)
			for way, err := range map[string]error{"Append": appended, "Provider.Append": atOnce, "Prepare": prepared} {
				e := want[*ArgumentError](t, err)
				if e.Argument != "events[1]" {
					t.Errorf("%s, %s: the argument is %q", name, way, e.Argument)
				}
				says := []string{`"noted"`, labStream.String(), `["customer" "supplier"]`, "nothing was stored"}
				if name == "a registered pointer" {
					says = []string{`"nested"`, `["customer"]`}
				}
				if strings.Contains(name, "alias") {
					says = append(says, `"remarked"`)
				}
				for _, says := range says {
					if !strings.Contains(err.Error(), says) {
						t.Errorf("%s, %s: it does not say %s: %v", name, way, says, err)
					}
				}
			}
		}
		l.traced()
		if version, err := s.Append(t.Context(), ExpectAny(), owner{"Ada"}, &owner{"Ada"}, amount(1), Raw{Type: "unregistered"}); err != nil || version != 4 {
			t.Errorf("what is bound to the aggregate type, or not bound: version %d, %v", version, err)
		}
	})
}

func TestASnapshotOfATypeForOtherAggregatesIsRefused(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open(WithRegistry(bound(t)))
		if _, err := s.Append(t.Context(), ExpectAny(), amount(1)); err != nil {
			t.Fatal(err)
		}
		l.Trace()
		for name, state := range map[string]any{"a value": noted{"a"}, "a pointer": &noted{"a"}, "a Raw by alias": remarked} {
			e := want[*ArgumentError](t, s.SaveSnapshot(t.Context(), 1, state))
			if e.Argument != "state" || !strings.Contains(e.Reason, `"noted"`) || !strings.Contains(e.Reason, labStream.String()) || !strings.Contains(e.Reason, "customer") {
				t.Errorf("%s: %v", name, e)
			}
		}
		l.traced()
		if err := s.SaveSnapshot(t.Context(), 1, owner{"Ada"}); err != nil {
			t.Error(err)
		}
	})
}

func TestHistoryOfATypeForOtherAggregatesIsReadAndCopied(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		before := l.open()
		l.add(before, "a")
		if err := before.SaveSnapshot(t.Context(), 1, noted{"s"}); err != nil {
			t.Fatal(err)
		}
		s := l.open(WithRegistry(bound(t)))
		copied := recorded(2, "")
		copied.Data = remarked
		copied.Metadata.Message.Type, copied.Metadata.Message.SchemaVersion = remarked.Type, remarked.SchemaVersion
		if _, err := s.AppendRecorded(t.Context(), ExpectVersion(1), copied); err != nil {
			t.Errorf("a copy of an event: %v", err)
		}
		l.reads(s.Reader, "a", "a")
		snapshot, err := s.Snapshot(t.Context(), 1)
		if err != nil || snapshot.Data != (noted{"s"}) {
			t.Errorf("the snapshot is %v, %v", snapshot.Data, err)
		}
		raw, err := s.Snapshot(t.Context(), 1, AsRaw())
		if err == nil {
			err = s.SaveRecordedSnapshot(t.Context(), raw)
		}
		if err != nil {
			t.Errorf("a copy of a snapshot: %v", err)
		}
	})
}

func TestARefusalOfABoundTypeHidesTheAggregateID(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.provider(WithRegistry(bound(t)), WithHashedIDs(hashKey))
		s, err := p.Open(t.Context(), labStream)
		if err != nil {
			t.Fatal(err)
		}
		_, appended := s.Append(t.Context(), ExpectAny(), noted{"a"})
		_, atOnce := p.Append(t.Context(), labStream, ExpectAny(), noted{"a"})
		_, prepared := s.Prepare(0, noted{"a"})
		for way, err := range map[string]error{
			"Append": appended, "Provider.Append": atOnce, "Prepare": prepared, "SaveSnapshot": s.SaveSnapshot(t.Context(), 1, noted{}),
		} {
			if want[*ArgumentError](t, err); !strings.Contains(err.Error(), p.HashedStream(labStream)) || strings.Contains(err.Error(), labStream.String()) {
				t.Errorf("%s: %v", way, err)
			}
		}
	})
}

func TestAProviderThatWasNotMadeBindsNothing(t *testing.T) {
	t.Parallel()
	if _, err := (&Provider{}).Append(t.Context(), labStream, ExpectAny(), noted{}); !isA[*ArgumentError](err) {
		t.Error(err)
	}
}

func TestAggregateTypesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for says, option := range map[string]TypeOption{
		"names no aggregate type":                                 ForAggregates(),
		`aggregate type "" of type "x": it is blank`:              ForAggregates("account", ""),
		`aggregate type " " of type "x": it is blank`:             ForAggregates(" "),
		`aggregate type "account" of type "x": it is named twice`: ForAggregates("account", "customer", "account"),
		"is not valid UTF-8":                                      ForAggregates("\xff"),
		"it has 201 bytes":                                        ForAggregates(strings.Repeat("a", 201)),
	} {
		if _, err := NewRegistry(Type[owner]("x", option)); !isA[*ArgumentError](err) || !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q: %v", says, err)
		}
	}
	if _, err := NewRegistry(Type[owner]("x", ForAggregates("account"), ForAggregates("account"))); !isA[*ArgumentError](err) {
		t.Errorf("named by two options: %v", err)
	}
}

func TestARegistrySaysWhichAggregatesATypeIsFor(t *testing.T) {
	t.Parallel()
	got := map[string][]string{}
	for _, registered := range bound(t).Types() {
		got[registered.Name] = registered.AggregateTypes
	}
	want := map[string][]string{"amount": nil, "nested": {"customer"}, "noted": {"customer", "supplier"}, "owner": {"customer", labStream.Type}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	r, names := bound(t), []string{"customer"}
	r.Types()[1].AggregateTypes[0] = "changed"
	if types := r.Types()[1].AggregateTypes; !reflect.DeepEqual(types, names) {
		t.Errorf("a caller has changed it: %q", types)
	}
	mine, err := NewRegistry(Type[owner]("owner", ForAggregates(names...)))
	if err != nil {
		t.Fatal(err)
	}
	names[0] = "changed"
	if types := mine.Types()[0].AggregateTypes; types[0] != "customer" {
		t.Errorf("whoever gave the names has changed them: %q", types)
	}
}
