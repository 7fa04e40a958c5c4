package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// MariaDB is a MariaDB server.
type MariaDB struct {
	*Part
	Addr       string // host:port
	ConnString string // of the user of its database, without a database, as Go's MySQL driver and state.mysql take it
	Version    string
}

// mariaUser has the database of the tests and nothing else. The password is there to be given, nobody else gets to the server.
const mariaUser, mariaPassword = "events", "for tests"

// Folding is what is added to the name of the database of [StartMariaDB] for another one, which its user may create. The server then gives it the
// collation that it has by default, which does not tell case apart.
const Folding = "_folding"

// StartMariaDB starts a MariaDB server, with arguments besides its own, and a database of that name, which tells names apart by every
// byte (utf8mb4_bin). It runs as a local process, as PostgreSQL does: its data folder must be its own.
func StartMariaDB(t testing.TB, database string, arguments ...string) *MariaDB {
	t.Helper()
	server := "/usr/sbin/mariadbd" // where Debian has it, which is not on the PATH of all users
	if _, err := os.Stat(server); err != nil {
		if server, err = installed("mariadbd", "mariadb-server")(); err != nil {
			t.Fatal(err)
		}
	}
	dir, credential := ownFolder(t, "mysql")
	data, begin := filepath.Join(dir, "data"), filepath.Join(dir, "begin.sql")
	runAs(t, credential, dir, "mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
	statements := fmt.Sprintf("CREATE DATABASE IF NOT EXISTS `%[1]s` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n"+
		"CREATE USER IF NOT EXISTS '%[2]s'@'%%' IDENTIFIED BY '%[3]s';\nGRANT ALL ON `%[1]s`.* TO '%[2]s'@'%%';\nGRANT ALL ON `%[1]s%[4]s`.* TO '%[2]s'@'%%';\n", database, mariaUser, mariaPassword, Folding)
	if err := os.WriteFile(begin, []byte(statements), 0o644); err != nil {
		t.Fatal(err)
	}
	port := FreePorts(t, 1)[0]
	m := &MariaDB{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	m.ConnString = fmt.Sprintf("%s:%s@tcp(%s)/", mariaUser, mariaPassword, m.Addr)
	m.Part = start(t, program{
		name:  "mariadb",
		local: func() (string, error) { return server, nil },
		args: append([]string{"--no-defaults", "--datadir=" + data, "--port=" + strconv.Itoa(port), "--bind-address=127.0.0.1",
			"--socket=" + filepath.Join(dir, "socket"), "--pid-file=" + filepath.Join(dir, "pid"), "--skip-name-resolve", "--init-file=" + begin}, arguments...),
		user:  credential,
		ready: func(ctx context.Context) (err error) { m.Version, err = mariaGreets(ctx, m.Addr); return err },
	})
	return m
}

// mariaGreets connects and reads the server's greeting, in which it tells its version. It listens only when the init file is done.
func mariaGreets(ctx context.Context, addr string) (version string, err error) {
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	const header = 5 // length, number and the version of the protocol
	greeting := bufio.NewReader(c)
	if _, err := greeting.Discard(header); err != nil {
		return "", err
	}
	text, err := greeting.ReadString(0)
	if err != nil {
		return "", err
	}
	// "5.5.5-10.11.6-MariaDB-…", where the first part is for old replicas.
	for part := range strings.SplitSeq(strings.TrimSuffix(text, "\x00"), "-") {
		if part != "5.5.5" {
			return part, nil
		}
	}
	return "", errors.New("MariaDB does not tell its version")
}
