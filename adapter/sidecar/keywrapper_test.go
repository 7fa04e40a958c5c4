package sidecar_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	commonpb "github.com/dapr/dapr/pkg/proto/common/v1"
	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/sealed"
)

var _ sealed.Wrapper = (*sidecar.KeyWrapper)(nil)

// vault is a sidecar that has only the cryptography API. Its ciphertext is the name of the key, and
// then the plaintext with every bit inverted.
type vault struct{ pb.UnimplementedDaprServer }

func turned(data []byte) []byte {
	data = bytes.Clone(data)
	for i := range data {
		data[i] = ^data[i]
	}
	return data
}

func (vault) EncryptAlpha1(stream pb.Dapr_EncryptAlpha1Server) error {
	var options *pb.EncryptRequestOptions
	var data []byte
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if request.GetOptions() != nil {
			options = request.GetOptions()
		}
		data = append(data, request.GetPayload().GetData()...)
	}
	if options.GetComponentName() != "vault" || options.GetKeyWrapAlgorithm() != "A256KW" {
		return status.Errorf(codes.InvalidArgument, "no component %q", options.GetComponentName())
	}
	return stream.Send(&pb.EncryptResponse{Payload: &commonpb.StreamPayload{Data: append([]byte(options.GetKeyName()+":"), turned(data)...)}})
}

func (vault) DecryptAlpha1(stream pb.Dapr_DecryptAlpha1Server) error {
	var data []byte
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		data = append(data, request.GetPayload().GetData()...)
	}
	_, wrapped, ok := bytes.Cut(data, []byte(":"))
	if !ok {
		return status.Error(codes.Internal, "message authentication failed")
	}
	return stream.Send(&pb.DecryptResponse{Payload: &commonpb.StreamPayload{Data: turned(wrapped)}})
}

// vaultClient is a client of a vault.
func vaultClient(t *testing.T) dapr.Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	pb.RegisterDaprServer(server, vault{})
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:vault", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return dapr.NewClientWithConnection(conn)
}

func TestAKeyWrapperEncryptsThroughTheSidecar(t *testing.T) {
	t.Parallel()
	client := vaultClient(t)
	w, err := sidecar.NewKeyWrapper(client, "vault", "master", "A256KW")
	if err != nil {
		t.Fatal(err)
	}
	key := bytes.Repeat([]byte{7}, sealed.KeySize)
	wrapped, err := w.Wrap(t.Context(), key)
	if err != nil || bytes.Contains(wrapped, key) || !bytes.HasPrefix(wrapped, []byte("master:")) {
		t.Fatalf("got %q, %v", wrapped, err)
	}
	if again, err := w.Unwrap(t.Context(), wrapped); err != nil || !bytes.Equal(again, key) {
		t.Errorf("got %x, %v", again, err)
	}
	if _, err := w.Unwrap(t.Context(), []byte("garbage")); err == nil || !strings.Contains(err.Error(), "authentication failed") {
		t.Errorf("garbage: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Wrap(ended, key); err == nil {
		t.Error("a key was wrapped after the context had ended")
	}
	absent, err := sidecar.NewKeyWrapper(client, "absent", "master", "A256KW")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := absent.Wrap(t.Context(), key); err == nil || !strings.Contains(err.Error(), `"absent"`) {
		t.Errorf("got %v", err)
	}
	for _, blank := range [][3]string{{"", "k", "a"}, {"c", "", "a"}, {"c", "k", ""}} {
		if _, err := sidecar.NewKeyWrapper(client, blank[0], blank[1], blank[2]); err == nil {
			t.Errorf("%q was accepted", blank)
		}
	}
	if _, err := sidecar.NewKeyWrapper(nil, "c", "k", "a"); err == nil {
		t.Error("no client was accepted")
	}
}

// silent answers with an empty stream.
type silent struct{ sidecar.Cryptographer }

func (silent) Encrypt(context.Context, io.Reader, dapr.EncryptOptions) (io.Reader, error) {
	return strings.NewReader(""), nil
}

func (silent) Decrypt(context.Context, io.Reader, dapr.DecryptOptions) (io.Reader, error) {
	return nil, errors.New("the sidecar is away")
}

func TestAKeyWrapperTakesNothingForAKey(t *testing.T) {
	t.Parallel()
	w, err := sidecar.NewKeyWrapper(silent{}, "vault", "master", "A256KW")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.Wrap(t.Context(), []byte("key")); err == nil {
		t.Errorf("got %q", got)
	}
	if got, err := w.Unwrap(t.Context(), []byte("key")); err == nil {
		t.Errorf("got %q", got)
	}
}
