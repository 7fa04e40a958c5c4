package containers

import (
	"context"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// These are the images that the tests build, with their own tags.
const (
	demoImage  = "eventstores-go/demo:test"
	daprdImage = "eventstores-go/daprd:test"
)

// redisImage returns the image of compose.yaml, or a stand-in with this machine's Redis. The
// stand-in has the files that compose.yaml uses in the same places.
func redisImage(ctx context.Context) (image, how string, err error) {
	return servers.Image(ctx, "redis:7-alpine", func(context.Context) (servers.StandIn, error) {
		standIn := servers.StandIn{Name: "redis-server", What: "redis-server", Files: map[string]string{},
			Dockerfile: "FROM scratch\nCOPY root/ /\nCOPY --chown=999:999 root/tmp/ /data/\n"}
		for executable, debian := range map[string]string{"redis-server": "redis-server", "redis-cli": "redis-tools"} {
			local, err := servers.Installed(executable, debian)
			if err != nil {
				return standIn, err
			}
			standIn.Files["/usr/local/bin/"+executable] = local
		}
		return standIn, nil
	})
}
