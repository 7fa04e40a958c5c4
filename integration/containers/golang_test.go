package containers

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// golang is the image that the Dockerfiles build with by default.
const golang = "golang:1.26.8"

// golangImage returns that image, or a stand-in with this machine's Go, shell and certificates. The
// stand-in gets modules and compiled packages from this process, so that it needs no internet. Its
// builds use the network of this machine.
func golangImage(ctx context.Context, t *testing.T) (image, how string, err error) {
	t.Helper()
	return servers.Image(ctx, golang, func(ctx context.Context) (servers.StandIn, error) {
		standIn := servers.StandIn{Name: "golang", What: "Go", Files: map[string]string{}}
		environment, err := goEnvironment(ctx)
		if err != nil {
			return standIn, err
		}
		for inImage, needed := range map[string][2]string{
			"/bin/sh":                            {"busybox", "busybox-static"},
			"/etc/ssl/certs/ca-certificates.crt": {"update-ca-certificates", "ca-certificates"},
		} {
			executable, err := servers.Installed(needed[0], needed[1])
			if err != nil {
				return standIn, err
			}
			standIn.Files[inImage] = executable
		}
		standIn.Files["/etc/ssl/certs/ca-certificates.crt"] = "/etc/ssl/certs/ca-certificates.crt"
		root, err := filepath.EvalSymlinks(environment["GOROOT"])
		if err != nil {
			return standIn, err
		}
		for _, part := range []string{"bin", "go.env", "pkg", "src", "VERSION"} {
			standIn.Files["/usr/local/go/"+part] = filepath.Join(root, part)
		}
		cache := filepath.Join(t.TempDir(), "gocache")
		build := exec.CommandContext(ctx, "go", "build", "-o", cache, "./gocache")
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := build.CombinedOutput(); err != nil {
			return standIn, fmt.Errorf("go build ./gocache: %w\n%s", err, out)
		}
		standIn.Files["/usr/local/bin/gocache"] = cache
		if err := precompile(ctx); err != nil {
			return standIn, err
		}
		server, err := serveGo(environment)
		if err != nil {
			return standIn, err
		}
		standIn.Dockerfile = fmt.Sprintf(`FROM scratch
COPY root/ /
ENV PATH=/usr/local/go/bin:/bin GOPATH=/go HOME=/root GOTOOLCHAIN=local GOSUMDB=off GOPROXY=%s/modules GOCACHEPROG="/usr/local/bin/gocache %[1]s/cache"
`, server)
		return standIn, nil
	})
}

func goEnvironment(ctx context.Context) (map[string]string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "-json", "GOROOT", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	var environment map[string]string
	return environment, json.Unmarshal(out, &environment)
}

// precompile compiles the packages of the service as its Dockerfile does. This machine keeps the
// result for the next time. "make daprd" has already compiled the packages of the sidecar.
func precompile(ctx context.Context) error {
	compile := exec.CommandContext(ctx, "go", "list", "-export", "-deps", "-f", "{{.Name}}", "./cmd/demo")
	compile.Dir = root
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS="+os.Getenv("GOFLAGS")+" -trimpath")
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("go list -export ./cmd/demo: %w\n%s", err, out)
	}
	return nil
}

// serveGo serves this machine's modules at /modules and its compiled packages at /cache, on
// loopback, until this process ends.
func serveGo(environment map[string]string) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /modules/", http.StripPrefix("/modules", modules(filepath.Join(environment["GOMODCACHE"], "cache", "download"))))
	mux.Handle("GET /cache/{action}", compiled(environment["GOCACHE"]))
	go func() { _ = http.Serve(listener, mux) }()
	return "http://" + listener.Addr().String(), nil
}

var moduleFile = regexp.MustCompile(`^/(.+)/@v/(v.+)\.(info|mod|zip)$`)

// modules serves the module cache, whose files are laid out as a module proxy's. It fetches a
// missing module first.
func modules(folder string) http.Handler {
	files := http.FileServer(http.Dir(folder))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := moduleFile.FindStringSubmatch(r.URL.Path)
		if name == nil {
			http.NotFound(w, r)
			return
		}
		if _, err := os.Stat(filepath.Join(folder, filepath.FromSlash(path.Clean(r.URL.Path)))); err != nil {
			fetch := exec.CommandContext(r.Context(), "go", "mod", "download", unescape(name[1])+"@"+unescape(name[2]))
			fetch.Dir = os.TempDir()                                      // outside any module
			fetch.Env = append(os.Environ(), "GOWORK=off", "GONOSUMDB=*") // the go command in the container checks the module against go.sum
			if out, err := fetch.CombinedOutput(); err != nil {
				http.Error(w, string(out), http.StatusNotFound)
				return
			}
		}
		files.ServeHTTP(w, r)
	})
}

var escaped = regexp.MustCompile(`![a-z]`)

// unescape returns the original name of a module or a version. In a module proxy !a stands for A.
func unescape(name string) string {
	return escaped.ReplaceAllStringFunc(name, func(letter string) string { return strings.ToUpper(letter[1:]) })
}

// compiled serves the go command's build cache: the output of an action, with its id in a header.
// If a later Go changes the layout of its cache, compiled finds nothing and everything is compiled.
func compiled(folder string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		action := r.PathValue("action")
		entry := func(id, suffix string) string { return filepath.Join(folder, id[:2], id+"-"+suffix) }
		if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(action) {
			http.NotFound(w, r)
			return
		}
		about, err := os.ReadFile(entry(action, "a"))
		fields := strings.Fields(string(about)) // v1 action output size time
		if err != nil || len(fields) != 5 || fields[0] != "v1" || fields[1] != action {
			http.NotFound(w, r)
			return
		}
		content, err := os.ReadFile(entry(fields[2], "d"))
		if err != nil || fmt.Sprint(len(content)) != fields[3] {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Output-Id", fields[2])
		_, _ = w.Write(content)
	})
}
