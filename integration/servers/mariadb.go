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
	ConnString string // of the tests' user, without a database, in the format of Go's MySQL driver and state.mysql
	Version    string
}

// mariaUser may use the database of the tests and nothing else. Its password only fills the field:
// other machines can't reach the server.
const mariaUser, mariaPassword = "events", "for tests"

// Folding is a suffix for the name of the database of [StartMariaDB]. It makes the name of a second
// database, which the tests' user may create. The server creates it with its default collation,
// which does not tell case apart.
const Folding = "_folding"

// StartMariaDB starts a MariaDB server, with additional arguments, and creates a database of that
// name. The database tells names apart by every byte (utf8mb4_bin). The server runs as a local
// process, because the user that it runs as must own its data folder.
func StartMariaDB(t testing.TB, database string, arguments ...string) *MariaDB {
	t.Helper()
	server := "/usr/sbin/mariadbd" // Debian's path, which is not on the PATH of all users
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

// Login returns the environment with which a client reaches the server: HOST, PORT and USER, and
// the password where a client finds it.
func (m *MariaDB) Login() []string {
	host, port, _ := net.SplitHostPort(m.Addr)
	return []string{"HOST=" + host, "PORT=" + port, "USER=" + mariaUser, "MYSQL_PWD=" + mariaPassword}
}

// mariaGreets connects and reads the server's greeting, which contains the version. The server
// listens only after it has executed the init file.
func mariaGreets(ctx context.Context, addr string) (version string, err error) {
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	const header = 5 // length, number and version of the protocol
	greeting := bufio.NewReader(c)
	if _, err := greeting.Discard(header); err != nil {
		return "", err
	}
	text, err := greeting.ReadString(0)
	if err != nil {
		return "", err
	}
	// The greeting says "5.5.5-10.11.6-MariaDB-…". Its first part is for old replicas.
	for part := range strings.SplitSeq(strings.TrimSuffix(text, "\x00"), "-") {
		if part != "5.5.5" {
			return part, nil
		}
	}
	return "", errors.New("MariaDB sent no version")
}
