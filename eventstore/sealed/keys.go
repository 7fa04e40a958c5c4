package sealed

import (
	"context"
	"errors"
	"fmt"
)

// KeySize is the length of a subject's key in bytes.
const KeySize = 32

// Keys holds the keys of all subjects. Implementations are safe for concurrent use. [StateKeys] is
// one.
type Keys interface {
	// Create returns the key of a subject, and makes one if there is none. If several processes
	// create a key at the same time, all get the same key. If the subject was forgotten, Create
	// returns a [ForgottenError]. The caller must not change the key.
	Create(ctx context.Context, subject string) ([]byte, error)

	// Find returns the key of a subject. It returns a [ForgottenError] if Forget destroyed the key,
	// and a [NoKeyError] if the subject never had a key here.
	Find(ctx context.Context, subject string) ([]byte, error)

	// Forget destroys the key of a subject for good. A subject may be forgotten twice, or before it
	// has a key. In that case it will never get one. After an error it is unknown whether Forget
	// took effect: call it again.
	Forget(ctx context.Context, subject string) error
}

// ForgottenError says that a subject was forgotten. Reads never return it. It is the cause of the
// ArgumentError when new data of that subject is to be stored.
type ForgottenError struct{ Subject string }

func (e *ForgottenError) Error() string {
	return fmt.Sprintf("sealed: subject %q was forgotten and its key destroyed: use a new subject id for new data", e.Subject)
}

// NoKeyError says that a sealed value has no key, and that there is no sign that the key was
// destroyed on purpose. The package does not treat such a value as erased, because its key may only
// be in another place.
type NoKeyError struct{ Subject string }

func (e *NoKeyError) Error() string {
	return fmt.Sprintf("sealed: subject %q has no key and was not forgotten: check that this is the right key store, and that it was not restored from a backup older than the key", e.Subject)
}

func isForgotten(err error) bool { return errors.As(err, new(*ForgottenError)) }
