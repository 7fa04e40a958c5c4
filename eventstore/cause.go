package eventstore

// partialCause is the cause of an [OutcomeUnknownError] without the errors of this package that say that
// nothing was stored. Such an error tells of one request out of several, and the whole means the opposite.
type partialCause struct {
	text  string
	inner []error
}

func (c *partialCause) Error() string   { return c.text }
func (c *partialCause) Unwrap() []error { return c.inner }

// withoutClaims returns cause as it is, or without the errors in it that contradict an unknown outcome. What
// these were caused by, as the error of a context or of a driver, is still found.
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

// claims reports whether something in err says that nothing was stored. That a session expired meanwhile is
// no such claim.
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
