package eventstore

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// These are the limits of custom metadata. It is meant for names and ids, not for payloads.
const (
	maxCustomEntries  = 64
	maxCustomKeyBytes = 200
	maxCustomBytes    = 16 << 10 // of all keys and values together
)

// checkCustom checks custom metadata and returns a copy of it, or nil if it is empty. Its errors do
// not quote values.
func checkCustom(argument string, custom map[string]string) (map[string]string, error) {
	if len(custom) == 0 {
		return nil, nil
	}
	bad := func(format string, args ...any) error {
		return &ArgumentError{Argument: argument, Reason: "the custom metadata " + fmt.Sprintf(format, args...)}
	}
	if n := len(custom); n > maxCustomEntries {
		return nil, bad("has %d entries, at most %d are allowed", n, maxCustomEntries)
	}
	for _, key := range slices.Sorted(maps.Keys(custom)) {
		switch {
		case key == "":
			return nil, bad("has an empty key")
		case len(key) > maxCustomKeyBytes:
			return nil, bad("has a key of %d bytes, at most %d are allowed", len(key), maxCustomKeyBytes)
		case !utf8.ValidString(key):
			return nil, bad("has a key %q that is not valid UTF-8", key)
		case !utf8.ValidString(custom[key]):
			return nil, bad("has a value under key %q that is not valid UTF-8", key)
		}
	}
	if size := customBytes(custom); size > maxCustomBytes {
		return nil, bad("has %d bytes, at most %d are allowed", size, maxCustomBytes)
	}
	return maps.Clone(custom), nil
}

// customBytes returns the size of all keys and values together.
func customBytes(custom map[string]string) (n int) {
	for key, value := range custom {
		n += len(key) + len(value)
	}
	return n
}

// SnapshotOption configures one call of [Session.SaveSnapshot].
type SnapshotOption func(*snapshotConfig) error

type snapshotConfig struct {
	custom map[string]string
	keep   int
}

// WithKept keeps the newest n snapshots that were saved from the same registered type and schema
// version as this one, and removes the older ones. It never removes the one that is being saved.
// Snapshots of other types and schema versions stay, so that two versions of a service can run side
// by side. Without the option all snapshots stay. n below 1 is an [ArgumentError].
func WithKept(n int) SnapshotOption {
	return func(c *snapshotConfig) error {
		if n < 1 {
			return &ArgumentError{Argument: "WithKept", Reason: fmt.Sprintf("%d is not positive", n)}
		}
		c.keep = n
		return nil
	}
}

// WithCustom stores custom metadata with the snapshot. Reading returns it as Snapshot.Custom. The
// limits are the same as for Metadata.Custom. The map is copied. Without the option there is none.
func WithCustom(custom map[string]string) SnapshotOption {
	copied, err := checkCustom("WithCustom", custom)
	return func(c *snapshotConfig) error {
		c.custom = copied
		return err
	}
}

func snapshotConfigOf(options []SnapshotOption) (c snapshotConfig, err error) {
	for _, option := range options {
		if option == nil {
			return c, &ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}
