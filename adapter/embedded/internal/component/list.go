package component

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/dapr/components-contrib/state"
)

// keysAtOnce is how many keys ListKeys asks for at a time.
const keysAtOnce = 1000

// escaped protects the characters that have a meaning in a pattern of a component.
var escaped = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// ListKeys implements [driver.Lister] for a component that can list its keys page by page. It is
// not a method, because not every package that embeds State can offer it.
func ListKeys(ctx context.Context, s *State, suffix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		const doing = "listing keys"
		store, ok := s.store.(state.KeysLiker)
		if !ok {
			yield("", s.failure(ctx, doing, errors.New("the component cannot list keys")))
			return
		}
		size := uint32(keysAtOnce)
		request := state.KeysLikeRequest{Pattern: "%" + escaped.Replace(suffix), PageSize: &size}
		for {
			if err := s.ready(ctx); err != nil {
				yield("", err)
				return
			}
			page, err := repeat(ctx, s.config.Repeats, nil, func() (*state.KeysLikeResponse, error) {
				return store.KeysLike(ctx, &request)
			})
			if err != nil {
				yield("", s.readFailure(ctx, doing, err))
				return
			}
			for _, key := range page.Keys {
				// SQLite's patterns do not tell apart upper and lower case.
				if strings.HasSuffix(key, suffix) && !yield(key, nil) {
					return
				}
			}
			if page.ContinuationToken == nil {
				return
			}
			request.ContinuationToken = page.ContinuationToken
		}
	}
}
