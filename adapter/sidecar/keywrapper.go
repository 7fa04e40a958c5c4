package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	dapr "github.com/dapr/go-sdk/client"
)

// KeyWrapper encrypts keys through the sidecar's cryptography API, for sealed.WithWrapper of
// package eventstore/sealed. The encrypting key stays in the vault behind the crypto component. So
// access to the key store without access to the vault reveals nothing. KeyWrapper is safe for
// concurrent use.
type KeyWrapper struct {
	client    Cryptographer
	component string
	key       string
	algorithm string
}

// Cryptographer is the part of Dapr's client that a [KeyWrapper] needs.
type Cryptographer interface {
	Encrypt(ctx context.Context, in io.Reader, opts dapr.EncryptOptions) (io.Reader, error)
	Decrypt(ctx context.Context, in io.Reader, opts dapr.DecryptOptions) (io.Reader, error)
}

// maxWrapped is the largest answer of the sidecar that is accepted, in bytes.
const maxWrapped = 64 << 10

// NewKeyWrapper returns a wrapper that uses a key of a crypto component. The algorithm is the one
// of that key as Dapr names it: A256KW for a key of 32 bytes, RSA-OAEP-256 for an RSA key.
// NewKeyWrapper sends nothing.
//
// Every wrapped key names the key that encrypts it. So you may switch to another key as long as the
// component still has the old one.
func NewKeyWrapper(client Cryptographer, component, key, algorithm string) (*KeyWrapper, error) {
	if client == nil || component == "" || key == "" || algorithm == "" {
		return nil, errors.New("sidecar: NewKeyWrapper: the client is nil, or the component, the key or the algorithm is blank")
	}
	return &KeyWrapper{client: client, component: component, key: key, algorithm: algorithm}, nil
}

// Wrap encrypts a key. It sends one request to the sidecar.
func (w *KeyWrapper) Wrap(ctx context.Context, key []byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx) // also ends the stream of an answer that is not read to its end
	defer cancel()
	out, err := w.client.Encrypt(ctx, bytes.NewReader(key), dapr.EncryptOptions{ComponentName: w.component, KeyName: w.key, KeyWrapAlgorithm: w.algorithm})
	return w.answer("encrypt", out, err)
}

// Unwrap decrypts a result of Wrap. It sends one request to the sidecar.
func (w *KeyWrapper) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := w.client.Decrypt(ctx, bytes.NewReader(wrapped), dapr.DecryptOptions{ComponentName: w.component})
	return w.answer("decrypt", out, err)
}

func (w *KeyWrapper) answer(what string, out io.Reader, err error) ([]byte, error) {
	var data []byte
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(out, maxWrapped+1))
	}
	if err == nil && (len(data) == 0 || len(data) > maxWrapped) {
		err = fmt.Errorf("the answer has %d bytes", len(data))
	}
	if err != nil {
		return nil, fmt.Errorf("sidecar: the crypto component %q cannot %s a key (does the sidecar have it, and may this app use it?): %w", w.component, what, err)
	}
	return data, nil
}
