package feed

import "context"

// End returns the position at the end of the feed as of now. The difference to a reader's position
// is about how many commits the reader is behind. It takes at most two requests.
func (f *Feed) End(ctx context.Context) (Position, error) {
	view, err := f.inside.ViewLog(ctx, f.inside.LogReader())
	if err != nil {
		return 0, err
	}
	at, err := f.end(ctx, view)
	return Position(at.position), err
}
