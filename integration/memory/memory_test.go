package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/transfer"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// memoryLimit is what the manifests give to a sidecar, and to the bank next to it.
const memoryLimit = 256 << 20

// memoryBody is the sidecar's --max-body-size. The default of 4 MiB takes only one event of 3 MiB
// in a request.
const memoryBody = 16 << 20

// These variables turn a copy of this program into a client whose memory is measured, and tell it
// what to do.
const (
	memorySidecar = "EVENTSTORES_MEMORY_SIDECAR" // address of the source's sidecar; empty for a SQLite file
	memoryFolder  = "EVENTSTORES_MEMORY_FOLDER"
	memoryEvents  = "EVENTSTORES_MEMORY_EVENTS" // number and size
)

// memoryStreams are streams that are larger than the memory of client and sidecar, or nearly so.
var memoryStreams = []struct {
	name        string
	count, size int
}{
	{"1000x64KiB", 1000, 64 << 10},
	{"200x3MiB", 200, 3 << 20},
}

func TestMain(m *testing.M) {
	if os.Getenv(memoryEvents) != "" {
		if err := memoryClient(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestLongStreamsOfLargeEventsGoThroughLittleMemory(t *testing.T) {
	r := servers.StartRedis(t)
	for _, store := range []string{"redis", "sqlite"} {
		for _, stream := range memoryStreams {
			t.Run(store+"/"+stream.name, func(t *testing.T) {
				t.Parallel()
				var d *servers.Daprd
				// A Go program in a small container has to know the memory limit. Otherwise it
				// collects garbage too late.
				env := append(os.Environ(), "GOMEMLIMIT=192MiB", memoryFolder+"="+t.TempDir(), fmt.Sprintf("%s=%d %d", memoryEvents, stream.count, stream.size))
				if store == "redis" {
					d = servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Memory: memoryLimit, MaxBodySize: "16Mi", Components: []string{servers.RedisState("statestore", r)}})
					env = append(env, memorySidecar+"="+d.GRPCAddr())
				}
				client, told := runMemoryClient(t, env)
				beside := int64(0)
				if d != nil {
					beside = d.Peak(t)
				}
				fmt.Printf("memory store=%s stream=%s client_peak=%dMiB sidecar_peak=%dMiB\n", store, stream.name, client>>20, beside>>20)
				if !strings.Contains(told, "all is well") {
					t.Errorf("the client said %s", told)
				}
				if most := int64(memoryLimit); client > most || beside > memoryLimit {
					t.Errorf("the client used %d bytes and the sidecar %d, want at most %d and %d", client, beside, most, memoryLimit)
				}
			})
		}
	}
}

// runMemoryClient runs this program as a client, with limited memory where that is possible. It
// returns the client's peak and output.
func runMemoryClient(t *testing.T, env []string) (peak int64, told string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if remove, err := servers.LimitMemory(cmd.Process.Pid, memoryLimit); err != nil {
		fmt.Printf("memory: the client's memory is not limited: %v\n", err)
	} else {
		defer remove()
	}
	begin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the client ended with %v:\n%s", err, out.String())
	}
	_, last, _ := strings.Cut(out.String(), "peak ") // the SDK prints something before
	if _, err := fmt.Sscan(last, &peak); err != nil {
		t.Fatalf("%v: the client said %s", err, out.String())
	}
	return peak, out.String()
}

// memoryClient is the main function of the client. It writes a stream and runs every operation on
// whole streams. It begins when its standard input ends.
func memoryClient() error {
	_, _ = os.Stdin.Read(make([]byte, 1))
	ctx := context.Background()
	var count, size int
	if _, err := fmt.Sscan(os.Getenv(memoryEvents), &count, &size); err != nil {
		return err
	}
	states := map[string]driver.State{}
	open := func(name string) (*eventstore.Provider, error) {
		var s driver.State
		var err error
		if addr := os.Getenv(memorySidecar); addr != "" && name == "source" {
			client, dialErr := dapr.NewClientWithAddressContext(ctx, addr, append(sidecar.DialOptions(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(memoryBody)))...)
			if dialErr != nil {
				return nil, dialErr
			}
			s, err = sidecar.NewState(ctx, client, "statestore", sidecar.WithMaxRequestBytes(memoryBody))
		} else if name == "origin" {
			s = memory.New()
		} else {
			s, err = sqlite.Open(ctx, filepath.Join(os.Getenv(memoryFolder), name+".db"))
		}
		if err != nil {
			return nil, err
		}
		states[name] = s
		return eventstore.NewProvider(s)
	}
	source, err := open("source")
	if err != nil {
		return err
	}
	target, err := open("target")
	if err != nil {
		return err
	}
	stream := eventstore.Stream{Database: "memory", Type: "document", ID: fmt.Sprint(size)}
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte('a' + rand.IntN(26))
	}
	document := eventstore.Raw{Type: "document", SchemaVersion: 1, ContentType: "text/plain", Payload: payload}
	written := source
	if os.Getenv(memorySidecar) != "" {
		if written, err = open("origin"); err != nil {
			return err
		}
	}
	writer, err := written.Open(ctx, stream, eventstore.Shared())
	if err != nil {
		return err
	}
	// Every store holds the same events, except for what heads carry. The client therefore appends
	// to a store in memory, and copies each event to the sidecar.
	origin := states["origin"]
	for i := range count {
		if _, err := writer.Append(ctx, eventstore.ExpectAny(), document); err != nil {
			return fmt.Errorf("append: %w", err)
		}
		if origin == nil {
			continue
		}
		key := fmt.Sprintf("{%s}:%d", stream, i+1)
		item, err := origin.Get(ctx, stream.String(), key)
		if err != nil {
			return err
		}
		if err := states["source"].Write(ctx, stream.String(), []driver.Write{{Key: key, Value: item.Value}}); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := origin.Write(ctx, stream.String(), []driver.Write{{Key: key}}); err != nil {
			return err
		}
	}
	if err := writer.Close(); err != nil {
		return err
	}
	if origin != nil {
		key := fmt.Sprintf("{%s}:head", stream)
		item, err := origin.Get(ctx, stream.String(), key)
		if err != nil {
			return err
		}
		if err := states["source"].Swap(ctx, stream.String(), driver.Swap{Key: key, Value: item.Value}); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	reader := source.Reader(stream)
	for _, options := range [][]eventstore.ReadOption{
		{eventstore.AsRaw()},
		{eventstore.AsRaw(), eventstore.Backwards(), eventstore.FromVersion(int64(count / 2))},
	} {
		n := 0
		for event, err := range reader.Read(ctx, options...) {
			if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			if len(event.Data.(eventstore.Raw).Payload) != size {
				return fmt.Errorf("read: version %d has another size", event.Version)
			}
			n++
		}
		if n < count/2 {
			return fmt.Errorf("read: only %d events", n)
		}
	}
	if found, err := reader.Verify(ctx, nil); err != nil || !found.Sound() || found.Events != int64(count) {
		return cmp.Or(err, fmt.Errorf("verify: %d events, damage %v", found.Events, found.Damage))
	}
	copied, err := transfer.Copy(ctx, source, target, stream)
	if err != nil || copied.Verified != int64(count) {
		return cmp.Or(err, fmt.Errorf("copy: %+v", copied))
	}
	for _, p := range []*eventstore.Provider{source, target} {
		s, err := p.Open(ctx, stream, eventstore.Shared())
		if err != nil {
			return err
		}
		if err := s.DeleteStream(ctx, eventstore.ExpectAny()); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
	}
	if _, err := reader.Version(ctx); !errors.As(err, new(*eventstore.StreamDeletedError)) {
		return fmt.Errorf("after the deletion: %w", err)
	}
	peak, err := servers.PeakOf(os.Getpid())
	fmt.Printf("peak %d\nall is well\n", peak)
	return err
}
