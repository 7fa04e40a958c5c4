package journal

// Window limits how many numbers of a journal may be undecided, or not known to stand: fewer than
// that. Whoever reads a journal looks at that many numbers beyond the highest known one. Among them
// at least one stands, if any stands. (Rule F3)
//
// All processes must agree on it. It is a variable only for the simulation, which makes it small.
var Window = 64
