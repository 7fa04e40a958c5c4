package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Postgres is a PostgreSQL server.
type Postgres struct {
	*Part
	Addr       string // host:port
	ConnString string
	Version    string
}

// StartPostgres starts a PostgreSQL server as a local process. The server refuses to run as root,
// and the user that it runs as must own its data folder.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	bin, err := postgresBin()
	if err != nil {
		t.Fatal(err)
	}
	dir, credential := ownFolder(t, "postgres")
	data := filepath.Join(dir, "data")
	runAs(t, credential, dir, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
	version, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	port := FreePorts(t, 1)[0]
	p := &Postgres{
		Version: postgresVersion(string(version)),
		Part: start(t, program{
			name:  "postgres",
			local: func() (string, error) { return filepath.Join(bin, "postgres"), nil },
			args: []string{"-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1",
				"-c", "unix_socket_directories=" + dir, "-c", "max_connections=200"},
			user:  credential,
			quit:  syscall.SIGQUIT, // the server's processes then end before it
			ready: func(ctx context.Context) error { return postgresAnswers(ctx, port) },
		}),
	}
	return p.Through(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// Through returns the same server at another address, host:port, which is a proxy's.
func (p *Postgres) Through(addr string) *Postgres {
	return &Postgres{
		Part:       p.Part,
		Version:    p.Version,
		Addr:       addr,
		ConnString: fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", addr),
	}
}

// postgresBin returns the folder of PostgreSQL's programs.
func postgresBin() (string, error) {
	find := func() (string, bool) {
		if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); len(found) > 0 {
			return filepath.Dir(found[len(found)-1]), true
		}
		path, err := exec.LookPath("postgres")
		return filepath.Dir(path), err == nil
	}
	if bin, ok := find(); ok {
		return bin, nil
	}
	const missing = "PostgreSQL is neither in /usr/lib/postgresql nor on the PATH: install it, on Debian with apt-get install postgresql"
	if err := install("postgresql"); err != nil {
		return "", fmt.Errorf("%s: %w", missing, err)
	}
	if bin, ok := find(); ok {
		return bin, nil
	}
	return "", errors.New(missing)
}

// postgresVersion returns the version in a text like "postgres (PostgreSQL) 15.10 (Debian
// 15.10-0+deb12u1)".
func postgresVersion(text string) string {
	_, version, _ := strings.Cut(text, "(PostgreSQL) ")
	version, _, _ = strings.Cut(strings.TrimSpace(version), " ")
	return version
}

// postgresAnswers sends the opening message of a connection. While PostgreSQL starts it answers
// with an error. Any other answer means that it is ready.
func postgresAnswers(ctx context.Context, port int) error {
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	body := "\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00"
	if _, err := c.Write(append([]byte{0, 0, 0, byte(len(body) + 4)}, body...)); err != nil {
		return err
	}
	var kind [1]byte
	if _, err := io.ReadFull(c, kind[:]); err != nil {
		return err
	}
	if kind[0] != 'R' {
		return fmt.Errorf("PostgreSQL answers with %q", kind)
	}
	return nil
}
