package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The service refuses input that it cannot use exactly as sent. The standard library would instead
// change it: it replaces invalid UTF-8 by U+FFFD, a field by a later one of the same name, and
// drops malformed parameters of the query.

// strict returns an error unless a body is one JSON value whose top level has only these fields. It
// ignores other syntax errors, which the decoder finds later.
func strict(body []byte, fields []string) error {
	if !utf8.Valid(body) {
		return errors.New("it is not valid UTF-8")
	}
	if loneSurrogate(body) {
		return errors.New(`a string has half of a surrogate pair, such as \ud800`)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	type object struct {
		names map[string]bool // nil for an array
		value bool            // the next token is the value of a name
	}
	var within []object
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil // malformed, or at the end
		}
		if name, ok := token.(string); ok && len(within) > 0 && within[len(within)-1].names != nil && !within[len(within)-1].value {
			in := &within[len(within)-1]
			switch {
			case in.names[name]:
				return fmt.Errorf("the field %q occurs twice", name)
			case len(within) == 1 && !slices.Contains(fields, name):
				return fmt.Errorf("unknown field %q", name)
			}
			in.names[name], in.value = true, true
			continue
		}
		if len(within) > 0 {
			within[len(within)-1].value = false
		}
		switch token {
		case json.Delim('{'):
			within = append(within, object{names: map[string]bool{}})
		case json.Delim('['):
			within = append(within, object{})
		case json.Delim('}'), json.Delim(']'):
			within = within[:len(within)-1]
			if len(within) == 0 {
				return nil
			}
			within[len(within)-1].value = false
		}
	}
}

// loneSurrogate reports whether a JSON string has an escape that is half of a character.
func loneSurrogate(body []byte) bool {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		i++ // skips an escaped backslash
		first, ok := escaped(body[min(i, len(body)):])
		if !ok || !utf16.IsSurrogate(first) {
			continue
		}
		i += len("uXXXX")
		if i >= len(body) || body[i] != '\\' {
			return true
		}
		second, ok := escaped(body[i+1:])
		if !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
			return true
		}
		i += len("uXXXX")
	}
	return false
}

// escaped parses uXXXX.
func escaped(text []byte) (rune, bool) {
	if len(text) < len("uXXXX") || text[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[1:5]), 16, 16)
	return rune(n), err == nil
}

// wellFormed refuses a URL that is not valid UTF-8, or whose query is malformed.
func wellFormed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := CheckAddress(r.URL); err != nil {
			refuse(w, r, ProblemOf(err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// CheckAddress returns a [Problem] for a URL whose path or query is not valid UTF-8, or whose query
// is malformed.
func CheckAddress(u *url.URL) error {
	if !utf8.ValidString(u.Path) {
		return badRequest("The path is not valid UTF-8")
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return badRequest("The query is malformed: write two hexadecimal digits after each %%, and separate parameters by &")
	}
	if !ValidText(values) {
		return badRequest("The query is not valid UTF-8")
	}
	return nil
}

// ValidText reports whether all names and values are valid UTF-8.
func ValidText(values url.Values) bool {
	for name, all := range values {
		if !utf8.ValidString(name) || slices.ContainsFunc(all, func(s string) bool { return !utf8.ValidString(s) }) {
			return false
		}
	}
	return true
}
