package eventstore

import (
	"fmt"
	"strconv"
	"strings"
)

// keys builds the keys of one stream: {database:type:id}:… The braces make a Redis Cluster put all
// of them into one hash slot.
type keys struct {
	partition string
	prefix    string
}

func keysOf(s Stream) keys {
	name := s.String()
	return keys{partition: name, prefix: "{" + name + "}:"}
}

func (k keys) head() string                 { return k.prefix + "head" }
func (k keys) event(version int64) string   { return k.prefix + strconv.FormatInt(version, 10) }
func (k keys) idempotency(id string) string { return k.prefix + "idem:" + escape(id) }
func (k keys) snapshots() string            { return k.prefix + "snapshots" }
func (k keys) snapshot(v int64) string      { return k.prefix + "snapshot:" + strconv.FormatInt(v, 10) }
func (k keys) lease() string                { return k.prefix + "lease" }

// longest returns an upper bound of the length of all keys except idempotency keys.
func (k keys) longest() int { return len(k.prefix) + len("snapshot:9223372036854775807") }

// escape returns s in the characters A–Z a–z 0–9 - _ . ~ and %XX, which every Dapr store accepts in
// a key. It percent-encodes every other byte as RFC 3986 does, so different strings stay different.
func escape(s string) string {
	n := 0
	for i := range len(s) {
		if !unreserved(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if unreserved(s[i]) {
			b = append(b, s[i])
		} else {
			b = appendPercent(b, s[i])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}

func appendPercent(b []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(b, '%', hex[c>>4], hex[c&15])
}

// unescape reverses escape.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("%q ends within a %%XX", s)
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q has a bad %%XX", s)
		}
		b = append(b, byte(c))
		i += 2
	}
	return string(b), nil
}
