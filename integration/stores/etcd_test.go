package stores

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// etcdSwaps is large enough that a race which loses any swap loses hundreds.
const etcdSwaps = 2000

// etcdReport is the result for etcd.
type etcdReport struct {
	server string
	acked  int // acknowledged conditional writes
	lost   int // acknowledged conditional writes without effect
}

func (r etcdReport) line() string {
	return fmt.Sprintf("store=state.etcd/v2 refused=true race_acked=%d race_lost=%d", r.acked, r.lost)
}

// examineEtcd checks that the adapter refuses etcd, and shows why. Several conditional writes with
// the same ETag succeed.
func examineEtcd(t *testing.T) etcdReport {
	e := servers.StartEtcd(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "etcd", Components: []string{servers.EtcdState("statestore", e)}})
	client := d.Client(t)
	if _, err := sidecar.NewState(t.Context(), client, "statestore"); err == nil || !strings.Contains(err.Error(), "would lose events when two writers write at the same time") {
		t.Errorf("etcd is not refused with the reason: %v", err)
	}
	acked, effective := swapAtOnce(t, client)
	r := etcdReport{server: "etcd " + e.Version, acked: acked, lost: acked - effective}
	if r.lost <= 0 {
		t.Errorf("none of %d swaps was lost. If Dapr's component compares and writes in one transaction now, remove state.etcd from internal/statekind", acked)
	}
	return r
}

// swapAtOnce lets eight writers count up one key. Each sends the ETag that it read with the number.
// Every swap that takes effect raises the number by one, so the number says how many swaps took
// effect.
func swapAtOnce(t *testing.T, client dapr.Client) (acked, effective int) {
	t.Helper()
	read := func(ctx context.Context) (int, string, error) {
		item, err := client.GetStateWithConsistency(ctx, "statestore", "number", nil, dapr.StateConsistencyStrong)
		if err != nil {
			return 0, "", err
		}
		n, err := strconv.Atoi(string(item.Value))
		return n, item.Etag, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), raceTimeout)
	defer cancel()
	if err := client.SaveBulkState(ctx, "statestore", saved("number", []byte("0"), firstWrite)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for ctx.Err() == nil {
				n, etag, err := read(ctx)
				if err == nil {
					swap := saved("number", []byte(strconv.Itoa(n+1)), firstWrite)
					swap.Etag = &dapr.ETag{Value: etag}
					err = client.SaveBulkState(ctx, "statestore", swap)
				}
				if status.Code(err) == codes.Aborted {
					continue // another writer was faster
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked++
				enough := acked >= etcdSwaps
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	all.Wait()
	effective, _, err := read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return acked, effective
}
