package servers

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Redis is a Redis server.
type Redis struct {
	*Part
	Addr string // host:port
}

// RedisOption changes how a Redis server is started.
type RedisOption func(t testing.TB, p *program)

// Durable makes Redis sync every write to disk before it answers, so that it loses nothing
// acknowledged when it is killed.
func Durable() RedisOption {
	return func(t testing.TB, p *program) { DurableIn(t.TempDir())(t, p) }
}

// DurableIn is [Durable] with the data in a folder, which may already contain data.
func DurableIn(dir string) RedisOption {
	return func(_ testing.TB, p *program) {
		p.folders = append(p.folders, dir)
		p.args = append(p.args, "--dir", dir, "--appendonly", "yes", "--appendfsync", "always")
	}
}

// SavingTo sets the folder to which Redis saves its dumps when it is told to.
func SavingTo(dir string) RedisOption {
	return func(_ testing.TB, p *program) {
		p.folders = append(p.folders, dir)
		p.args = append(p.args, "--dir", dir)
	}
}

// Encrypted makes Redis listen with TLS only. The certificate and its key are PEM files in one
// folder.
func Encrypted(certificate, key string, roots *x509.CertPool) RedisOption {
	return func(_ testing.TB, p *program) {
		p.folders = append(p.folders, filepath.Dir(certificate))
		port := p.args[slices.Index(p.args, "--port")+1]
		p.args = append(p.args, "--port", "0", "--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key,
			"--tls-ca-cert-file", certificate, "--tls-auth-clients", "no")
		p.ready = func(ctx context.Context) error {
			return pong(ctx, &tls.Dialer{Config: &tls.Config{RootCAs: roots}}, net.JoinHostPort("127.0.0.1", port))
		}
	}
}

// StartRedis starts a Redis server. Unless options say otherwise, it keeps everything in memory.
func StartRedis(t testing.TB, options ...RedisOption) *Redis {
	t.Helper()
	port := FreePorts(t, 1)[0]
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p := program{
		name:    "redis",
		local:   installed("redis-server", "redis-server"),
		image:   "redis:7-alpine",
		inImage: "/usr/local/bin/redis-server",
		args:    []string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--maxmemory-policy", "noeviction"},
		ready:   func(ctx context.Context) error { return redisAnswers(ctx, addr) },
	}
	for _, option := range options {
		option(t, &p)
	}
	return &Redis{Part: start(t, p), Addr: addr}
}

// Through returns the same server at another address, which is a proxy's.
func (r *Redis) Through(addr string) *Redis { return &Redis{Part: r.Part, Addr: addr} }

// redisAnswers sends a PING. Redis answers PONG only when it has loaded its data.
func redisAnswers(ctx context.Context, addr string) error { return pong(ctx, new(net.Dialer), addr) }

func pong(ctx context.Context, dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "+PONG") {
		return errors.New(strings.TrimSpace(line))
	}
	return nil
}

// Installed finds an executable on the PATH. If it is missing, Installed installs Debian's package
// of it where that is possible.
func Installed(executable, debian string) (string, error) {
	path, err := exec.LookPath(executable)
	if err == nil {
		return path, nil
	}
	if err := install(debian); err != nil {
		return "", fmt.Errorf("%s is not on the PATH: install it, on Debian with apt-get install %s: %w", executable, debian, err)
	}
	return exec.LookPath(executable)
}

func installed(executable, debian string) func() (string, error) {
	return func() (string, error) { return Installed(executable, debian) }
}
