package feed

import "context"

// ahead runs fetch in a goroutine, and calls each with the parts that fetch sends. Fetch is at most
// one part ahead. When ahead returns, fetch has ended.
func ahead[T any](ctx context.Context, fetch func(ctx context.Context, send func(T) error) error, each func(T) error) error {
	fetching, cancel := context.WithCancel(ctx)
	parts := make(chan T)
	var failed error
	go func() {
		defer close(parts)
		failed = fetch(fetching, func(part T) error {
			select {
			case parts <- part:
				return nil
			case <-fetching.Done():
				return errStop
			}
		})
	}()
	defer func() { // leave nothing behind
		cancel()
		for range parts {
		}
	}()
	for part := range parts {
		if err := each(part); err != nil {
			return err
		}
	}
	if failed == nil {
		failed = ctx.Err()
	}
	return failed
}
