package eventstore

import (
	"regexp"
	"strings"
	"testing"
)

func TestAStreamsNameReadsPlainly(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]Stream{
		"EventStores:BankAccount:123456000":         {"EventStores", "BankAccount", "123456000"},
		"a%3Ab:c:d":                                 {"a:b", "c", "d"},
		"a:b%3Ac:d":                                 {"a", "b:c", "d"},
		"%7B%7D%25:%20:%F0%9F%98%80":                {"{}%", " ", "😀"},
		"a%2Fb:a%7C%7Cb:a%5Cb":                      {"a/b", "a||b", `a\b`},
		"-_.~:az09AZ:%C3%A4%3F%23":                  {"-_.~", "az09AZ", "ä?#"},
		"%00%0A%7F:x:" + strings.Repeat("%25", 200): {"\x00\n\x7f", "x", strings.Repeat("%", 200)},
		"a%3A:b:c":                                  {"a:", "b", "c"},
		"%D0%90:A:a":                                {"А", "A", "a"}, // a Cyrillic A
		"caf%C3%A9:cafe%CC%81:e":                    {"café", "cafe\u0301", "e"},
		"%EF%BB%BFx:%E2%80%8B:%E3%80%80x":           {"\ufeffx", "\u200b", "\u3000x"},
	} {
		if got := s.String(); got != want {
			t.Errorf("%#v is %s, want %s", s, got, want)
		}
	}
}

func TestParseStreamRefusesWhatStringDoesNotWrite(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "a", "a:b", "a:b:c:d", "::", "a::c", ":b:c", "a:b:", "a:b:%20", "a b:c:d", "ä:b:c", "a:b:%", "a:b:%2", "a:b:%zz", "a:b:%+1",
		"a:b:%2f", "a:b:%41", "a:b:%FF", "{a:b:c}", "a:b:" + strings.Repeat("x", 201), "a/b:c:d",
	} {
		s, err := ParseStream(name)
		if !isA[*ArgumentError](err) {
			t.Errorf("ParseStream(%q): %#v, %v", name, s, err)
		}
	}
}

func TestKeysAreWhatTheyHaveAlwaysBeen(t *testing.T) {
	t.Parallel()
	k := keysOf(Stream{"db", "account", "a:1"})
	for want, got := range map[string]string{
		"{db:account:a%3A1}:head":          k.head(),
		"{db:account:a%3A1}:7":             k.event(7),
		"{db:account:a%3A1}:idem:x%2Fy":    k.idempotency("x/y"),
		"{db:account:a%3A1}:snapshots":     k.snapshots(),
		"{db:account:a%3A1}:snapshot:1000": k.snapshot(1000),
		"{db:account:a%3A1}:lease":         k.lease(),
	} {
		if got != want {
			t.Errorf("a key is %s, want %s", got, want)
		}
	}
	for _, key := range []string{k.head(), k.event(1<<63 - 1), k.snapshots(), k.snapshot(1<<63 - 1), k.lease()} {
		if len(key) > k.longest() {
			t.Errorf("%s is longer than longest says", key)
		}
	}
}

// FuzzStreamsStayApart checks that names are escaped reversibly into characters that every store
// accepts. No key of one stream is a key of another, or a prefix of one.
func FuzzStreamsStayApart(f *testing.F) {
	names := []string{"a", "A", "a:b", "a%3Ab", "%", "%25", "{a}", "a}:head", "a}:1", "a/b", "a|b", "a||b", " ", "a b", "ä", "😀", "\x00", "1", "head", "idem", "~", "a\u0301"}
	for i, name := range names {
		other := names[(i+1)%len(names)]
		f.Add(name, "account", "1", other, "account", "1", "x")
		f.Add("db", name, "1", "db", "account", other, name)
		f.Add("db", "account", name, "db", "account", other, other)
		f.Add(name+":"+other, "b", "c", name, other+":b", "c", "1")
	}
	ok := regexp.MustCompile(`^\{[A-Za-z0-9%._~-]+:[A-Za-z0-9%._~-]+:[A-Za-z0-9%._~-]+\}:[A-Za-z0-9%._~:-]+$`)
	f.Fuzz(func(t *testing.T, db1, type1, id1, db2, type2, id2, idem string) {
		a, b := Stream{db1, type1, id1}, Stream{db2, type2, id2}
		for _, s := range []Stream{a, b} {
			parsed, err := ParseStream(s.String())
			if s.validate() != nil {
				if err == nil {
					t.Errorf("ParseStream(%q) takes an invalid name", s)
				}
				return
			}
			if err != nil || parsed != s {
				t.Fatalf("ParseStream(%q): %#v, %v, want %#v", s, parsed, err, s)
			}
		}
		all := func(s Stream) []string {
			k := keysOf(s)
			return []string{k.head(), k.event(1), k.event(10), k.idempotency(idem), k.snapshots(), k.snapshot(1), k.snapshot(10), k.lease()}
		}
		for i, key := range all(a) {
			if !ok.MatchString(key) {
				t.Errorf("key %q has characters that a store may refuse", key)
			}
			for j, other := range all(a) {
				if i != j && key == other {
					t.Errorf("two keys of %s are the same: %q", a, key)
				}
			}
			for _, other := range all(b) {
				if a != b && (strings.HasPrefix(other, key) || strings.HasPrefix(key, other)) {
					t.Errorf("%q of %s and %q of %s are not apart", key, a, other, b)
				}
			}
		}
	})
}
