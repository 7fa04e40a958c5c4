package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// A password of any characters, in any shape of URL or data source name, in any place where a store
// or stream is named.
func TestNoPasswordIsEverPrinted(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 1, "1")
	const head, tail = "Head7", "tail8"
	var shapes []string
	for _, password := range []string{
		head + tail, head + "@" + tail, head + "/" + tail, head + "?" + tail, head + "#" + tail, head + ":" + tail, head + "%" + tail, head + "&" + tail, head + "=" + tail,
		head + "@@" + tail, "@" + head + "@" + tail, head + "/@" + tail, head + "?@" + tail, head + "#@" + tail, head + "]" + tail, head + "[" + tail,
		"1/" + tail, "1?" + tail, "1#" + tail, "1?lock=" + tail, head + " " + tail, head + "\\" + tail, head + "\n" + tail, url.QueryEscape(head + "@" + tail),
		head + "ü" + tail, head + "\xff" + tail, head + "\x1b" + tail,
	} {
		for _, scheme := range []string{"redis", "rediss", "postgres", "mysql", "http", "sqlite", "dapr", "file", "mongodb+srv"} {
			for _, shape := range []string{
				"%s://user:%s@127.0.0.1:1/0", "%s://:%s@127.0.0.1:1/0", "%s:user:%s@127.0.0.1:1", "%s://user:%s@127.0.0.1:1/0?cluster=true", "%s://user:%s", "%s:user:%s@tcp(127.0.0.1:1)/db",
				"%s://127.0.0.1:1/0?password=%s", "%s:statestore@127.0.0.1:1?token=%s", "%s:events.db?_auth_pass=%s", "%s:host=127.0.0.1 password=%s", "%s://127.0.0.1:1/0?password-env=%s",
				"%s:statestore@127.0.0.1:1?token-env=%s", "%s:statestore@user:%s@127.0.0.1:1", "%s:Server=x;Pwd=%s;", "%s://127.0.0.1:1/user:%s@127.0.0.1",
			} {
				shapes = append(shapes, fmt.Sprintf(shape, scheme, password))
			}
		}
		shapes = append(shapes, "user:"+password+"@tcp(127.0.0.1:1)/db", "host=h password="+password, "u:"+password+"@h")
	}
	hides := func(said string) bool { return !strings.Contains(said, head) && !strings.Contains(said, tail) }
	for _, spec := range shapes {
		for as := range creating + 1 {
			s, err := parseStore(spec, as)
			if err == nil && !hides(s.name) || err != nil && !hides(err.Error()) {
				t.Errorf("%q as %d is named %q, %v", spec, as, s.name, err)
			}
			if err == nil && strings.Contains(spec, "://") && s.same != "redis 127.0.0.1:1/0" {
				t.Errorf("%q is taken for %s", spec, s.same)
			}
		}
		code, out, errs := runs(t, "", "verify", "-store", "sqlite:"+file, spec)
		if code != exitUsage || !hides(out+errs) {
			t.Errorf("%q as the name of a stream: exit code %d, and it says\n%s%s", spec, code, out, errs)
		}
	}
	for _, spec := range []string{shapes[0], "redis://user:" + head + "@" + tail + "@127.0.0.1:1/0", "postgres://user:" + head + "@" + tail + "@127.0.0.1/0"} {
		for _, args := range [][]string{{"verify", "-store", spec, "account:1"}, {"rebuild-head", "-store", spec, "account:1"}, {"copy", "-from", spec, "-to", spec, "account:1"}, {"copy", "-from", "sqlite:" + file, "-to", spec, "account:1"}} {
			code, out, errs := runs(t, "", args...)
			if code != exitUsage || !hides(out+errs) {
				t.Errorf("%q: exit code %d, and it says\n%s%s", args, code, out, errs)
			}
		}
	}
}

func TestAStoreIsNamedByWhatIsNoSecret(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "hunter2")
	for spec, want := range map[string]string{
		"redis://user@localhost":                         "redis://localhost:6379/0",
		"rediss://user@[::1]:6380/3?cluster=true":        "rediss://[::1]:6380/3",
		"dapr:statestore@localhost:50001?lock=lockstore": "dapr:statestore@localhost:50001",
		"sqlite:a folder/of@2024/events.db":              "sqlite:a folder/of@2024/events.db",
	} {
		s, err := parseStore(spec, creating)
		if err != nil || s.name != want {
			t.Errorf("%s is named %q, %v", spec, s.name, err)
		}
	}
}
