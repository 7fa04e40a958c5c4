package sealed

import (
	"context"
	"errors"
	"fmt"
)

// KeySize is the length of a subject's key in bytes.
const KeySize = 32

// Keys are the keys of all subjects. Implementations are safe for concurrent use. [StateKeys] is one.
type Keys interface {
	// Create returns the key of a subject, and makes one if there is none. Of any number of processes
	// that do so at one time all get the same key. Of a subject that was forgotten it is a
	// [ForgottenError]. The caller does not change the key.
	Create(ctx context.Context, subject string) ([]byte, error)

	// Find returns the key of a subject. It is a [ForgottenError] if the key was destroyed by Forget,
	// and a [NoKeyError] if there never was one here.
	Find(ctx context.Context, subject string) ([]byte, error)

	// Forget destroys the key of a subject for good. It is no error to forget a subject twice, or one
	// that has no key yet: it will never get one. An error leaves open whether it took effect: repeat it.
	Forget(ctx context.Context, subject string) error
}

// ForgottenError says that a subject was forgotten. Reading never returns it. It is the cause of an
// ArgumentError where new data of that subject is to be stored.
type ForgottenError struct{ Subject string }

func (e *ForgottenError) Error() string {
	return fmt.Sprintf("sealed: subject %q was forgotten, its key is destroyed: nothing more about it can be sealed; a person who comes back needs a new subject id", e.Subject)
}

// NoKeyError says that there is no key for what is sealed, and no sign that it was destroyed on purpose.
// Nothing is shown as erased that may only be in the wrong place.
type NoKeyError struct{ Subject string }

func (e *NoKeyError) Error() string {
	return fmt.Sprintf("sealed: there is no key of subject %q, and it was not forgotten: is this the right key store, and was it brought back from a backup that is older than the key?", e.Subject)
}

// isForgotten reports whether an error says that a subject was forgotten.
func isForgotten(err error) bool { return errors.As(err, new(*ForgottenError)) }
