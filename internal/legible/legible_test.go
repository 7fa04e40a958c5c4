package legible

import (
	"strings"
	"testing"
)

func TestWhatCannotBePrintedIsEscaped(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "Jörg 😀 — …": "Jörg 😀 — …", "a\tb\nc": "a\tb\\nc", "\x1b[2J": `\x1b[2J`, "\xff\xfe": `\xff\xfe`, "\ufffd": "\ufffd",
		"\u202etxt.exe": `\u202etxt.exe`, "\u0085": `\u0085`, "\U000e0001": `\U000e0001`, "\x00": `\x00`,
	} {
		if got := Text(text, "\t"); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestJSONIsIndented(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":[1,{}]}`: "{\n  \"a\": [\n    1,\n    {}\n  ]\n}",
		`"[[[[[\"[["`:  `"[[[[[\"[["`,
		`["` + strings.Repeat(`\"[\\`, 99) + `"]`: "[\n  \"" + strings.Repeat(`\"[\\`, 99) + "\"\n]",
	} {
		if got := Indent([]byte(text)); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}

func TestVeryDeepJSONIsNotIndented(t *testing.T) {
	t.Parallel()
	text := strings.Repeat(`{"a":[`, 4000) + strings.Repeat(`]}`, 4000)
	if got := Indent([]byte(text)); got != text {
		t.Errorf("%d bytes are shown as %d", len(text), len(got))
	}
}
