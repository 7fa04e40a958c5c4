package eventstore

// partialCause is the cause of an [OutcomeUnknownError] without this package's errors that say that
// nothing was stored. Such an error is about one of several requests. For the whole append it would
// be wrong.
type partialCause struct {
	text  string
	inner []error
}

func (c *partialCause) Error() string   { return c.text }
func (c *partialCause) Unwrap() []error { return c.inner }

// withoutClaims returns cause without the errors in it that contradict an unknown outcome, or cause
// itself if it has none. It keeps what caused these errors, such as the error of a context or of a
// driver, so that errors.Is and errors.As still find it.
func withoutClaims(cause error) error {
	if cause == nil || !claims(cause) {
		return cause
	}
	c := &partialCause{text: cause.Error()}
	for _, inner := range unwrapped(cause) {
		if inner != nil {
			c.inner = append(c.inner, withoutClaims(inner))
		}
	}
	return c
}

// claims reports whether an error in err says that nothing was stored. A [SessionExpiredError] does
// not say so: the session expired meanwhile.
func claims(err error) bool {
	switch err.(type) {
	case *SessionExpiredError, *OutcomeUnknownError:
	default:
		if adviceOf(err) != AdviceNone {
			return true
		}
	}
	for _, inner := range unwrapped(err) {
		if claims(inner) {
			return true
		}
	}
	return false
}
