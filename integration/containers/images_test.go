package containers

import (
	"context"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// The images that the tests build, under tags of their own.
const (
	demoImage  = "eventstores-go/demo:test"
	daprdImage = "eventstores-go/daprd:test"
)

// redisImage is the image in compose.yaml, or one with this machine's Redis that has in the same places what is used of it.
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
