package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// selfMade writes a self-signed certificate for 127.0.0.1 and its key.
func selfMade(t *testing.T) (certificate, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "redis.crt"), filepath.Join(dir, "redis.key")
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: der},
		key:         {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o644); err != nil { // a Redis in a container runs as another user
			t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(made)
	return certificate, key, roots
}

func TestASidecarSpeaksTLSWithARedisWhoseCertificateItIsTold(t *testing.T) {
	t.Parallel()
	certificate, key, roots := selfMade(t)
	r := servers.StartRedis(t, servers.Encrypted(certificate, key, roots))
	overTLS := map[string]string{"redisHost": r.Addr, "redisPassword": "", "enableTLS": "true", "keyPrefix": "none"}
	d := servers.StartDaprd(t, servers.DaprdConfig{
		AppID: "bank",
		Components: []string{
			servers.Component("statestore", "state.redis", "v1", overTLS),
			servers.Component("lockstore", "lock.redis", "v1", overTLS),
		},
		Env:     []string{"SSL_CERT_FILE=" + certificate}, // the component has no property for the certificate
		Folders: []string{filepath.Dir(certificate)},
	})
	client := d.Client(t)
	state, err := sidecar.NewState(t.Context(), client, "statestore")
	if err != nil {
		t.Fatal(err)
	}
	locker, err := sidecar.NewLocker(t.Context(), client, "lockstore")
	if err != nil {
		t.Fatal(err)
	}
	p := provider(t, state, locker)
	session, err := p.Open(t.Context(), racing.Stream("1"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if version, err := session.Append(t.Context(), eventstore.ExpectVersion(0), racing.Event{N: 0}); version != 1 || err != nil {
		t.Fatalf("version %d, %v", version, err)
	}
	reader := p.Reader(racing.Stream("1"))
	racing.Compare(t, reader, []racing.Ack{{N: 0, Events: 1, Version: 1}})

	// Without the certificate, the adapter in this process does not trust the server.
	if s, err := redis.Open(t.Context(), r.Addr, redis.WithTLS()); err == nil {
		_ = s.Close()
		t.Error("a self-signed certificate is accepted")
	} else if !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the connection fails for another reason: %v", err)
	}
	if s, err := redis.Open(t.Context(), r.Addr); err == nil {
		_ = s.Close()
		t.Error("the server answers without TLS, so this test would find nothing")
	}
}
