package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// component describes a component as the sidecar reports it.
type component struct {
	kind         string // in lower case, as daprd compares it: "state.redis"
	version      string // of the component, "v1" or "v2"
	capabilities []string
	appID        string
}

func (c component) can(capability string) bool { return slices.Contains(c.capabilities, capability) }

// find looks up a component in the sidecar's metadata. The family is "state" or "lock".
func find(ctx context.Context, client dapr.Client, family, name string) (component, error) {
	if client == nil {
		return component{}, errors.New("sidecar: the Dapr client is nil: create one with NewClient of github.com/dapr/go-sdk/client")
	}
	if strings.TrimSpace(name) == "" {
		return component{}, fmt.Errorf("sidecar: the name of the %s component is blank", family)
	}
	metadata, err := within(ctx, client.GetMetadata)
	if err != nil {
		hint := "listing the sidecar's components"
		switch status.Code(err) {
		case codes.Unavailable, codes.DeadlineExceeded:
			hint = fmt.Sprintf("no Dapr sidecar answers%s: check that one is running and that this is its gRPC port (DAPR_GRPC_PORT or DAPR_GRPC_ENDPOINT)", at(client))
		case codes.Unimplemented:
			hint = fmt.Sprintf("the server%s is not a Dapr sidecar", at(client))
		}
		return component{}, failure(ctx, hint, err)
	}
	var others []string
	for _, c := range metadata.RegisteredComponents {
		kind := strings.ToLower(c.Type)
		if !strings.HasPrefix(kind, family+".") {
			continue
		}
		if c.Name == name {
			return component{kind: kind, version: c.Version, capabilities: c.Capabilities, appID: metadata.ID}, nil
		}
		others = append(others, fmt.Sprintf("%q (%s)", c.Name, c.Type))
	}
	has := "none"
	if len(others) > 0 {
		slices.Sort(others)
		has = strings.Join(others, ", ")
	}
	return component{}, fmt.Errorf("sidecar: the sidecar of app %q has no %s component %q, it has %s: check metadata.name and scopes in the component's file, and --resources-path", metadata.ID, family, name, has)
}

// at says which address the client dials, if it tells.
func at(client dapr.Client) string {
	if conn := client.GrpcClientConn(); conn != nil {
		return " at " + conn.Target()
	}
	return ""
}
