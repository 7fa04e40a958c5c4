package eventstore

// attempts records the answers to the attempts of one commit so far, and what follows from them.
// The zero value is for a commit of which nothing is known, such as one that a caller retries.
type attempts struct {
	last  error  // of the last attempt
	etag  string // that the last attempt was made with
	alike int    // how many attempts in a row got the same answer while the head did not move

	// certain says that the store turned down each attempt so far. Then none of them is still under
	// way.
	certain bool

	looked  error // of the last lookup, if the store turned it down
	blind   int   // how many lookups in a row the store turned down
	unmoved bool  // the head is still the one that the last attempt was made for
}

// firstAttempt returns the attempts of a commit whose first attempt, made with etag, ended with
// err.
func firstAttempt(err error, etag string) attempts {
	a := attempts{certain: true}
	a.note(err, etag)
	return a
}

// note adds the error of an attempt that was made with etag.
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

// seen adds a lookup that found the head with that ETag, and nothing of the commit.
func (a *attempts) seen(etag string) { a.unmoved, a.blind = etag == a.etag, 0 }

// notSeen adds a lookup that failed.
func (a *attempts) notSeen(err error) {
	if !denied(err) {
		a.blind = 0
		return
	}
	a.looked = err
	a.blind++
}

// refused reports whether the commit certainly has no effect and will have none. Call it after a
// lookup that found nothing of the commit.
func (a *attempts) refused() bool { return a.certain && a.last != nil }

// useless reports whether another attempt would get the same answer. That is so if the head did not
// move, and the store turned down the last attempt or gave the same answer twice in a row. It is
// also so if the store turned down two lookups in a row.
func (a *attempts) useless() bool {
	return a.unmoved && (denied(a.last) || a.alike >= 2) || a.blind >= 2
}
