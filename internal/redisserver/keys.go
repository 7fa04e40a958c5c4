package redisserver

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/redis/go-redis/v9"
)

// scanCount is how many keys a server looks at in one request.
const scanCount = 1000

var errStop = errors.New("the loop has ended")

// Keys returns the keys that match a pattern, on all nodes of the server to which a Dapr component
// with these properties connects. SCAN may return a key twice.
func Keys(ctx context.Context, properties map[string]string, pattern string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		client, err := connect(properties)
		if err != nil {
			yield("", err)
			return
		}
		defer client.Close()
		scan := func(node redis.Cmdable) error {
			for cursor := uint64(0); ; {
				keys, next, err := node.Scan(ctx, cursor, pattern, scanCount).Result()
				if err != nil {
					return err
				}
				for _, key := range keys {
					if !yield(key, nil) {
						return errStop
					}
				}
				if cursor = next; cursor == 0 {
					return nil
				}
			}
		}
		nodes, err := masters(ctx, client)
		for _, node := range nodes {
			if err == nil {
				err = scan(node)
			}
		}
		if err != nil && !errors.Is(err, errStop) {
			yield("", err)
		}
	}
}

// masters returns a client for each node that has keys of its own.
func masters(ctx context.Context, client redis.UniversalClient) (nodes []redis.Cmdable, err error) {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return []redis.Cmdable{client}, nil
	}
	var one sync.Mutex // the function is called for all nodes at once
	err = cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		one.Lock()
		defer one.Unlock()
		nodes = append(nodes, node)
		return nil
	})
	return nodes, err
}
