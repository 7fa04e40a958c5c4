package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func TestAStreamIsShown(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 5, "Ada Lövelace")
	store := "sqlite:" + file
	inFile(t, file, func(_ driver.State, p *eventstore.Provider) error {
		_, err := p.Append(t.Context(), p.Stream("account", "Ada Lövelace"), eventstore.ExpectAny(), eventstore.Event{
			Data: eventstore.Raw{Type: "renamed", SchemaVersion: 2, ContentType: "application/json", Payload: []byte(`{"name":{"first":"Ada"}}`)},
			Metadata: eventstore.Metadata{
				Context: eventstore.ContextMetadata{CorrelationID: "c1", CausationID: "m1", UserID: "ada", Scopes: []string{"r", "w"}},
				Custom:  map[string]string{"b": "2", "a": "1"},
			},
		})
		return err
	})
	// The name as a person writes it, and escaped.
	for _, name := range []string{"account:Ada Lövelace", "EventStores:account:Ada%20L%C3%B6velace"} {
		code, out, errs := runs(t, "", "show", "--store", store, name)
		wants(t, code, exitWell, out+errs, "1  20", "Z  t\n", "    idempotency  request 0\n", "    {\n      \"n\": 4\n    }\n",
			"Z  renamed (schema 2)\n", "    correlation  c1\n    causation    m1\n    user         ada\n", "    scopes       r w\n    custom       a = 1\n    custom       b = 2\n    {\n      \"name\": {\n        \"first\": \"Ada\"\n")
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--from", "2", "--to", "3", "--raw"}, "{\"n\":1}\n{\"n\":2}\n"},
		{[]string{"--to", "2", "--backwards", "--raw"}, "{\"n\":1}\n{\"n\":0}\n"},
		{[]string{"--type", "renamed", "--raw"}, "{\"name\":{\"first\":\"Ada\"}}\n"},
		{[]string{"--at", "4", "--raw"}, "\n"},
	} {
		code, out, errs := runs(t, "", append([]string{"show", "--store", store, "account:Ada Lövelace"}, c.args...)...)
		if code != exitWell || out != c.want {
			t.Errorf("%q: exit code %d, %q, want %q\n%s", c.args, code, out, c.want, errs)
		}
	}
	code, out, errs := runs(t, "", "show", "--store", store, "--at", "4", "account:Ada Lövelace")
	wants(t, code, exitWell, out+errs, "snapshot at 1  20", "Z  state\n")
	code, out, _ = runs(t, "", "show", "--store", store, "--from", "6", "-o", "json", "account:Ada Lövelace")
	var line eventLine
	if err := json.Unmarshal([]byte(out), &line); code != exitWell || err != nil || line.Version != 6 || line.Type != "renamed" || string(line.Payload) != `{"name":{"first":"Ada"}}` || line.Metadata.Context.UserID != "ada" || line.Stream != "EventStores:account:Ada%20L%C3%B6velace" {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitNot, "does not exist", []string{"account:nosuch"}},
		{exitNot, "does not exist", []string{"account:nosuch", "--at", "1"}},
		{exitUsage, "name one stream", nil},
		{exitUsage, "--from must be positive", []string{"account:1", "--from", "0"}},
		{exitUsage, "--to must not be below --from", []string{"account:1", "--from", "5", "--to", "4"}},
		{exitUsage, "--at must be positive", []string{"account:1", "--at", "-1"}},
		{exitUsage, "--raw does not go with", []string{"account:1", "--raw", "-o", "json"}},
		{exitUsage, "invalid value for flag --output", []string{"account:1", "-o", "xml"}},
	} {
		code, out, errs := runs(t, "", append([]string{"show", "--store", store}, c.args...)...)
		if wants(t, code, c.code, errs, c.says); out != "" {
			t.Errorf("%q: it prints %s", c.args, out)
		}
	}
}

func TestHostilePayloadsAreShownHarmlessly(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	large := bytes.Repeat([]byte("x"), 1<<20)
	payloads := [][]byte{large, append([]byte(`"`), append(large, '"')...), {0xff, 0xfe, 0x1b, '['}}
	for _, text := range hostile {
		quoted, err := json.Marshal(strings.ToValidUTF8(text, "?"))
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, []byte(text), quoted, []byte("\""+strings.NewReplacer("\n", "", "\r", "", "\t", "", "\x00", "", "\x1b", "", "\b", "", "\v", "", "\f", "", "\"", "", "\x07", "", "\\", "").Replace(text)+"\""))
	}
	inFile(t, file, func(_ driver.State, p *eventstore.Provider) error {
		for _, payload := range payloads {
			e := eventstore.Event{Data: eventstore.Raw{Type: "t\x1b[2J", ContentType: "text/plain\n::error::", Payload: payload},
				Metadata: eventstore.Metadata{Context: eventstore.ContextMetadata{UserID: "\x1b]0;title\x07", CorrelationID: "##[error]x"}, Custom: map[string]string{"\n::error::": "\u202e"}}}
			if _, err := p.Append(t.Context(), p.Stream("account", "\x1b[2J\n::error::"), eventstore.ExpectAny(), e); err != nil {
				return err
			}
		}
		return nil
	})
	name := "account:%1B%5B2J%0A%3A%3Aerror%3A%3A"
	code, out, errs := runs(t, "", "show", "--store", "sqlite:"+file, name)
	wants(t, code, exitWell, errs)
	isHarmless(t, out)
	if !strings.Contains(out, "    "+string(large)+"\n") || !strings.Contains(out, "4 bytes of text/plain\\n::error::, in base64:\n    //4bWw==\n") {
		t.Error("a payload is missing")
	}
	code, out, errs = runs(t, "", "show", "--store", "sqlite:"+file, "-o", "json", name)
	wants(t, code, exitWell, errs)
	isHarmless(t, out)
	n := 0
	for text := range strings.Lines(out) {
		var line eventLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("it is no JSON: %.300q: %v", text, err)
		}
		want := payloads[n]
		switch {
		case line.Base64 != nil && *line.Base64 == "": // empty
		case line.Text != nil && *line.Text != string(want):
			t.Errorf("%d is %.100q, want %.100q", n, *line.Text, want)
		case line.Payload != nil:
			var got, wanted any
			if json.Unmarshal(line.Payload, &got) != nil || json.Unmarshal(want, &wanted) != nil || got != wanted {
				t.Errorf("%d is %.100q, want %.100q", n, line.Payload, want)
			}
		}
		n++
	}
	if n != len(payloads) {
		t.Errorf("%d lines, want %d", n, len(payloads))
	}
	code, out, _ = runs(t, "", "show", "--store", "sqlite:"+file, "--raw", "--from", "3", "--to", "3", name)
	if code != exitWell || out != "\xff\xfe\x1b[\n" {
		t.Errorf("exit code %d: %q", code, out)
	}
}
