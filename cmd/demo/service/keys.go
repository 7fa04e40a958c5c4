package service

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Role says what the holder of a key may do. Each role includes the earlier ones.
type Role int

// The roles, with their names in a list of keys.
const (
	Nobody Role = iota // no permission
	Read               // "read": read accounts, their history and metrics
	Write              // "write": also open accounts and move money
	Admin              // "admin": also close and delete accounts permanently
)

func (r Role) String() string { return [...]string{"nobody", "read", "write", "admin"}[r] }

// Holder is the owner of a key.
type Holder struct {
	Name string
	Role Role

	sum [sha256.Size]byte // of the key
}

// Keys are the API keys of a service. A nil Keys has no key.
type Keys struct{ holders []Holder }

// minKey is the minimum length of a key in bytes. "openssl rand -hex 16" makes one with 32 bytes.
const minKey = 16

// ParseKeys parses a list of keys. Each line, or part of a line up to a semicolon, is a key: the
// holder's name, the role and the key itself, separated by blanks. Lines that begin with # are
// ignored. An error names the line but never contains the key.
func ParseKeys(text string) (*Keys, error) {
	keys := new(Keys)
	for i, line := range strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == ';' }) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("key %d of the list: %s; write a name, a role and the key, such as: ada write $(openssl rand -hex 16)", i+1, fmt.Sprintf(format, args...))
		}
		if len(fields) != 3 {
			return nil, wrong("it has %d parts, not 3", len(fields))
		}
		h := Holder{Name: fields[0], sum: sha256.Sum256([]byte(fields[2]))}
		for role := Read; role <= Admin; role++ {
			if fields[1] == role.String() {
				h.Role = role
			}
		}
		switch {
		case !saneID(h.Name):
			return nil, wrong("the name must have at most 128 letters, digits and characters of -_.:/+=")
		case h.Role == Nobody:
			return nil, wrong("the role must be read, write or admin")
		case len(fields[2]) < minKey:
			return nil, wrong("the key must have at least %d bytes", minKey)
		}
		for _, other := range keys.holders {
			if other.Name == h.Name || other.sum == h.sum {
				return nil, wrong("the name or the key occurs twice")
			}
		}
		keys.holders = append(keys.holders, h)
	}
	return keys, nil
}

// None reports whether there is no key.
func (k *Keys) None() bool { return k == nil || len(k.holders) == 0 }

// holder returns the holder of a key. It compares all keys, so that its duration does not depend on
// the key.
func (k *Keys) holder(key string) (Holder, bool) {
	sum := sha256.Sum256([]byte(key))
	found := -1
	for i := range k.holders {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], k.holders[i].sum[:]), i, found)
	}
	if found < 0 {
		return Holder{}, false
	}
	return k.holders[found], true
}

// sessionFor is how long a browser stays signed in.
const sessionFor = 12 * time.Hour

// session returns a token for a browser. The token expires and does not reveal the key. It is valid
// on all instances that have the key, and on no others.
func (h Holder) session(now time.Time) string {
	return h.sign(strconv.FormatInt(now.Add(sessionFor).Unix(), 10))
}

func (h Holder) sign(ends string) string {
	mac := hmac.New(sha256.New, h.sum[:])
	fmt.Fprintf(mac, "bank session\n%s\n%s", h.Name, ends)
	return base64.RawURLEncoding.EncodeToString([]byte(h.Name)) + "." + ends + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// signedIn returns the holder to whom a session belongs.
func (k *Keys) signedIn(session string, now time.Time) (Holder, bool) {
	parts := strings.Split(session, ".")
	if len(parts) != 3 {
		return Holder{}, false
	}
	ends, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || now.Unix() >= ends {
		return Holder{}, false
	}
	for _, h := range k.holders {
		if subtle.ConstantTimeCompare([]byte(h.sign(parts[1])), []byte(session)) == 1 {
			return h, true
		}
	}
	return Holder{}, false
}
