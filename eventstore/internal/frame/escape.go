package frame

import (
	"fmt"
	"strconv"
	"strings"
)

// Escape returns s in the characters A–Z a–z 0–9 - _ . ~ and %XX, which every Dapr store accepts in
// a key. It percent-encodes every other byte as RFC 3986 does, so different strings stay different.
func Escape(s string) string {
	n := 0
	for i := range len(s) {
		if !Unreserved(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if Unreserved(s[i]) {
			b = append(b, s[i])
		} else {
			b = appendPercent(b, s[i])
		}
	}
	return string(b)
}

// Unreserved reports whether Escape leaves a byte as it is.
func Unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}

func appendPercent(b []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(b, '%', hex[c>>4], hex[c&15])
}

// Unescape reverses [Escape].
func Unescape(s string) (string, error) {
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
