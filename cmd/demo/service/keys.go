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

// Role is what the holder of a key may do. Each role includes those before it.
type Role int

// The roles, by the names that they have in a list of keys.
const (
	Nobody Role = iota // may do nothing
	Read               // "read": may see accounts, their history and metrics
	Write              // "write": may also open accounts and move money
	Admin              // "admin": may also close and delete accounts, for ever
)

func (r Role) String() string { return [...]string{"nobody", "read", "write", "admin"}[r] }

// Holder is who holds a key.
type Holder struct {
	Name string
	Role Role

	sum [sha256.Size]byte // of the key
}

// Keys are the API keys that a service takes. The nil Keys is none at all.
type Keys struct{ holders []Holder }

// minKey is how long a key must be, in bytes: "openssl rand -hex 16" makes one of 32.
const minKey = 16

// ParseKeys reads a list of keys. Each line, or part of a line up to a semicolon, is a key: the
// name of who holds it, its role and the key itself, separated by blanks. Lines that begin with #
// are left out. An error names the line and never the key.
func ParseKeys(text string) (*Keys, error) {
	keys := new(Keys)
	for i, line := range strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == ';' }) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("key %d of the list: %s; each is a name, a role and the key, as in: ada write $(openssl rand -hex 16)", i+1, fmt.Sprintf(format, args...))
		}
		if len(fields) != 3 {
			return nil, wrong("it has %d parts in place of 3", len(fields))
		}
		h := Holder{Name: fields[0], sum: sha256.Sum256([]byte(fields[2]))}
		for role := Read; role <= Admin; role++ {
			if fields[1] == role.String() {
				h.Role = role
			}
		}
		switch {
		case !saneID(h.Name):
			return nil, wrong("its name is not at most 128 letters, digits and any of -_.:/+=")
		case h.Role == Nobody:
			return nil, wrong("its role is not read, write or admin")
		case len(fields[2]) < minKey:
			return nil, wrong("it is shorter than %d bytes", minKey)
		}
		for _, other := range keys.holders {
			if other.Name == h.Name || other.sum == h.sum {
				return nil, wrong("its name or the key itself is there twice")
			}
		}
		keys.holders = append(keys.holders, h)
	}
	return keys, nil
}

// None reports whether there is no key.
func (k *Keys) None() bool { return k == nil || len(k.holders) == 0 }

// holder finds who holds a key. It compares with all keys, and takes as long whichever it is.
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

// session is what a browser gets in place of a key: it ends, does not tell the key, is good for all
// instances that have the key, and for none that does not.
func (h Holder) session(now time.Time) string {
	return h.sign(strconv.FormatInt(now.Add(sessionFor).Unix(), 10))
}

func (h Holder) sign(ends string) string {
	mac := hmac.New(sha256.New, h.sum[:])
	fmt.Fprintf(mac, "bank session\n%s\n%s", h.Name, ends)
	return base64.RawURLEncoding.EncodeToString([]byte(h.Name)) + "." + ends + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// signedIn finds whose session that is.
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
