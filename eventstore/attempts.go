package eventstore

// attempts are the answers to the attempts of one commit so far, and what follows from them. Its zero value is that of a commit of which
// nothing is known, as one that somebody retries.
type attempts struct {
	last  error  // of the last attempt
	etag  string // that it was made with
	alike int    // how many attempts in a row were answered like the last one, with the head unmoved

	// certain says that each attempt so far was turned down. Then none of them is on its way any more.
	certain bool

	looked  error // of the last look-up, where that was turned down
	blind   int   // how many look-ups in a row were turned down
	unmoved bool  // the head stands as the last attempt found it
}

// firstAttempt begins with the error of an attempt.
func firstAttempt(err error, etag string) attempts {
	a := attempts{certain: true}
	a.note(err, etag)
	return a
}

// note adds the error of an attempt.
func (a *attempts) note(err error, etag string) {
	a.certain = a.certain && (denied(err) || refused(err))
	switch {
	case !answered(err):
		a.alike = 0
	case a.alike > 0 && etag == a.etag && err.Error() == a.last.Error():
		a.alike++
	default:
		a.alike = 1
	}
	a.last, a.etag, a.unmoved, a.blind = err, etag, false, 0
}

// seen adds a look-up that found the head with that ETag and nothing of the commit.
func (a *attempts) seen(etag string) { a.unmoved, a.blind = etag == a.etag, 0 }

// notSeen adds a look-up that failed.
func (a *attempts) notSeen(err error) {
	if !denied(err) {
		a.blind = 0
		return
	}
	a.looked = err
	a.blind++
}

// refused reports whether the commit is certainly not in effect and will not be. It is asked after a look-up that found nothing.
func (a *attempts) refused() bool { return a.certain && a.last != nil }

// useless reports whether another attempt would get the same answer: the store turned the last one down; or it has answered two alike
// while the head did not move; or it turns down even looking, twice.
func (a *attempts) useless() bool {
	return a.unmoved && (denied(a.last) || a.alike >= 2) || a.blind >= 2
}
