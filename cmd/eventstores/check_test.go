package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder writes component files into a folder of their own.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, content := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// file is a component file; its metadata begins at line 8, two lines for each entry.
func file(name, kind string, metadata ...string) string {
	s := fmt.Sprintf("apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: %s\nspec:\n  type: %s\n  version: v1\n  metadata:\n", name, kind)
	for i := 0; i < len(metadata); i += 2 {
		s += fmt.Sprintf("  - name: %s\n    value: %q\n", metadata[i], metadata[i+1])
	}
	return s
}

func TestComponentFilesAreLookedOver(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files  []string
		code   int
		says   []string // lines, from the file's name on
		strict int
	}{
		"what is well": {[]string{file("s", "state.postgresql", "keyPrefix", "name")}, 0, nil, 0},
		"memcached":    {[]string{file("s", "state.memcached")}, 1, []string{"0.yaml:6: refused: s (state.memcached): it has no ETags"}, 1},
		"Cassandra":    {[]string{file("s", "state.Cassandra")}, 1, []string{"0.yaml:6: refused: s (state.cassandra): it has no ETags"}, 1},
		"etcd":         {[]string{file("s", "state.etcd")}, 1, []string{"0.yaml:6: refused: s (state.etcd): it would lose events"}, 1},
		"SQL Server":   {[]string{file("s", "state.sqlserver")}, 1, []string{"0.yaml:6: refused: s (state.sqlserver): it would lose events"}, 1},
		"a time to live": {[]string{file("s", "state.redis", "redisHost", "h:1", "TTLInSeconds", "600")}, 0,
			[]string{"0.yaml:11: warning: s (state.redis): ttlInSeconds makes history expire; remove it"}, 1},
		"a time to live of none": {[]string{file("s", "state.redis", "ttlInSeconds", "-1")}, 0, nil, 0},
		"encryption by Dapr":     {[]string{file("s", "state.postgresql", "primaryEncryptionKey", "k")}, 0, []string{"0.yaml:9: warning: ", "WithoutTransactions"}, 1},
		"MySQL":                  {[]string{file("s", "state.mysql")}, 0, []string{"0.yaml:6: hint: ", "utf8mb4_bin"}, 0},
		"in memory":              {[]string{file("s", "state.in-memory")}, 0, []string{"0.yaml:6: hint: ", "use it only for experiments"}, 0},
		"no state component":     {[]string{file("p", "pubsub.redis")}, 0, []string{"0.yaml:6: warning: p (pubsub.redis): the folder has no state component"}, 1},
		"a lock of each app for streams of all": {[]string{file("s", "state.redis", "keyPrefix", "name"), file("l", "lock.redis", "redisHost", "h:1")}, 0,
			[]string{"1.yaml:6: warning: l (lock.redis): its keys begin with the app id but those of s do not"}, 1},
		"the same, said": {[]string{file("s", "state.redis", "keyPrefix", "none"), file("l", "lock.redis", "keyPrefix", "AppID")}, 0,
			[]string{"1.yaml:9: warning: l (lock.redis): its keys begin with the app id"}, 1},
		"a lock of all for streams of each app": {[]string{file("s", "state.redis"), file("l", "lock.redis", "keyPrefix", "name")}, 0,
			[]string{"1.yaml:9: warning: l (lock.redis): its keys do not begin with the app id"}, 1},
		"both of each app":           {[]string{file("s", "state.redis"), file("l", "lock.redis")}, 0, nil, 0},
		"both of all":                {[]string{file("s", "state.redis", "keyPrefix", "name"), file("l", "lock.redis", "keyPrefix", "name")}, 0, nil, 0},
		"both by words of their own": {[]string{file("s", "state.redis", "keyPrefix", "bank"), file("l", "lock.redis", "keyPrefix", "bank")}, 0, nil, 0},
		"several in one file":        {[]string{file("a", "state.postgresql") + "---\n" + file("b", "state.etcd")}, 1, []string{"0.yaml:15: refused: b (state.etcd)"}, 1},
		"what is no component":       {[]string{"kind: Configuration\nmetadata:\n  name: c\n", file("s", "state.postgresql")}, 0, nil, 0},
		"a secret":                   {[]string{file("s", "state.postgresql") + "  - name: connectionString\n    secretKeyRef:\n      name: a\n      key: b\n"}, 0, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, test.files...)
			code, out, errs := runs(t, "", "check", "-offline", dir)
			wants(t, code, test.code, out+errs, test.says...)
			if len(test.says) == 0 && !strings.Contains(out, ": 0 refused, 0 warnings, 0 hints\n") {
				t.Errorf("it found something:\n%s", out)
			}
			if code, _, _ := runs(t, "", "check", "-strict", "-offline", dir); code != test.strict {
				t.Errorf("with -strict the exit code is %d, want %d", code, test.strict)
			}
		})
	}
}

func TestAppsThatShareStreamsAndNotTheirLocksAreSeenTogether(t *testing.T) {
	t.Parallel()
	app := func(lock string) string {
		return folder(t, file("statestore", "state.redis", "redisHost", "h:1", "keyPrefix", "name"), file(lock, "lock.redis", "redisHost", "h:1", "keyPrefix", "name"))
	}
	code, out, errs := runs(t, "", "check", "-offline", app("lockstore"), app("lockstore"))
	wants(t, code, 0, out+errs, ": 0 refused, 0 warnings, 0 hints\n")
	code, out, errs = runs(t, "", "check", "-offline", app("lockstore"), app("locks"))
	wants(t, code, 0, out+errs, "1.yaml:11: warning: locks (lock.redis): statestore shares the streams of statestore", ": 0 refused, 1 warnings")
}

func TestAServerThatCanNotBeAskedIsAHint(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, says string }{
		"a password in a secret store": {file("s", "state.redis", "redisHost", "127.0.0.1:1") + "  - name: redisPassword\n    secretKeyRef:\n      name: a\n      key: b\n", "0.yaml:11: hint: s (state.redis): redisPassword is in a secret store"},
		"a server that is not there":   {file("s", "state.redis", "redisHost", "127.0.0.1:1", "redisMaxRetries", "-1"), "0.yaml:9: hint: s (state.redis): cannot ask the server 127.0.0.1:1 (CONFIG GET "},
	} {
		code, out, errs := runs(t, "", "check", "-ask", "127.0.0.1", folder(t, test.file))
		if wants(t, code, 0, out+errs, test.says, "noeviction"); t.Failed() {
			t.Logf("with %s", name)
		}
	}
}

func TestFilesThatCanNotBeReadAreSaid(t *testing.T) {
	t.Parallel()
	code, out, errs := runs(t, "", "check", folder(t, "kind: [\n"))
	wants(t, code, 2, out+errs, "0.yaml", "yaml")
}

func TestTheComponentFilesOfThisProjectAreWell(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../components/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var folders []string
	for _, f := range files {
		if dir := filepath.Dir(f); !slices.Contains(folders, dir) {
			folders = append(folders, dir)
		}
	}
	for _, f := range folders {
		code, out, errs := runs(t, "", "check", "-offline", f)
		wants(t, code, 0, out+errs, " 0 refused, 0 warnings")
	}
}
