package stores

import (
	"testing"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// These options of raw requests are those that the adapter sends.
var (
	firstWrite = &dapr.StateOptions{Concurrency: dapr.StateConcurrencyFirstWrite, Consistency: dapr.StateConsistencyStrong}
	lastWrite  = &dapr.StateOptions{Concurrency: dapr.StateConcurrencyLastWrite, Consistency: dapr.StateConsistencyStrong}
)

func saved(key string, value []byte, options *dapr.StateOptions) *dapr.SetStateItem {
	return &dapr.SetStateItem{Key: key, Value: value, Options: options}
}

func upsert(item *dapr.SetStateItem) *dapr.StateOperation {
	return &dapr.StateOperation{Type: dapr.StateOperationTypeUpsert, Item: item}
}

func startedClient(t *testing.T, config servers.DaprdConfig, options ...grpc.DialOption) dapr.Client {
	t.Helper()
	return servers.StartDaprd(t, config).Client(t, options...)
}
