package bench

import (
	"bufio"
	"debug/buildinfo"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// machine describes the machine of the run, one fact per line, without names or addresses.
func machine(t testing.TB) []string {
	t.Helper()
	lines := []string{
		fmt.Sprintf("CPU: %s, %d cores", field(read(t, "/proc/cpuinfo"), `(?m)^model name\s*:\s*(.+)$`), runtime.NumCPU()),
		fmt.Sprintf("RAM: %s", memorySize(t)),
		fmt.Sprintf("Disk: %s", fileSystem(t, os.TempDir())),
		fmt.Sprintf("%s %s, %s", runtime.GOOS, strings.TrimSpace(read(t, "/proc/sys/kernel/osrelease")), runtime.Version()),
	}
	modules := read(t, "go.mod")
	version := func(path string) string { return field(modules, `(?m)^\s*`+path+` (\S+)`) }
	return append(lines, fmt.Sprintf("go-sdk %s, components-contrib %s (embedded), hallgren/eventsourcing/eventstore/sql %s, looplab/eventhorizon %s, watermill-sql %s",
		version("github.com/dapr/go-sdk"), version("github.com/dapr/components-contrib"), version("github.com/hallgren/eventsourcing/eventstore/sql"), version("github.com/looplab/eventhorizon"), version("github.com/ThreeDotsLabs/watermill-sql/v4")))
}

// daprVersion returns the version of Dapr that bin/daprd was built from.
func daprVersion(t testing.TB) string {
	t.Helper()
	root := must(servers.Root())(t)
	info := must(buildinfo.ReadFile(filepath.Join(root, "bin", "daprd")))(t)
	for _, m := range info.Deps {
		if m.Path == "github.com/dapr/dapr" {
			return "Dapr " + strings.TrimPrefix(m.Version, "v")
		}
	}
	t.Fatal("bin/daprd has no build information about Dapr: run \"make daprd\"")
	return ""
}

func read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func field(text, pattern string) string {
	if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
		return strings.TrimSpace(found[1])
	}
	return "unknown"
}

func memorySize(t testing.TB) string {
	kib, err := strconv.Atoi(field(read(t, "/proc/meminfo"), `(?m)^MemTotal:\s*(\d+) kB`))
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
}

// fileSystem returns the type of the file system that holds a folder.
func fileSystem(t testing.TB, folder string) string {
	t.Helper()
	longest, kind := "", "unknown"
	for line := range strings.Lines(read(t, "/proc/self/mounts")) {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		point := strings.TrimSuffix(words[1], "/")
		if within := folder == point || strings.HasPrefix(folder, point+"/"); within && len(point) >= len(longest) {
			longest, kind = point, words[2]
		}
	}
	return kind
}

// redisVersion asks a Redis server for its version.
func redisVersion(t testing.TB, addr string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprint(c, "INFO server\r\n"); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if version, ok := strings.CutPrefix(lines.Text(), "redis_version:"); ok {
			return version
		}
	}
	t.Fatal("Redis did not report its version")
	return ""
}
