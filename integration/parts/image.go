package parts

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/testcontainers/testcontainers-go"
	testlog "github.com/testcontainers/testcontainers-go/log"
)

// engine says whether a Docker engine can be used. It is asked once.
var engine = func() func(context.Context) error {
	var once sync.Once
	var failure error
	return func(ctx context.Context) error {
		once.Do(func() {
			if runtime.GOOS != "linux" {
				failure = errors.New("the containers use the network of this machine, which works on Linux only")
				return
			}
			// Its image is not everywhere to be had, and there is a reaper of our own.
			_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
			testlog.SetDefault(testlog.NewNoopLogger())
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			var docker *testcontainers.DockerClient
			if docker, failure = testcontainers.NewDockerClientWithOpts(ctx); failure == nil { // it has asked the engine
				_ = docker.Close()
			}
		})
		return failure
	}
}()

// pullTimeout is how long an image may take to come, before it is built here instead.
const pullTimeout = time.Minute

// imageFound is an image and how it was had.
type imageFound struct{ image, how string }

var images = struct {
	sync.Mutex
	found map[string]imageFound
}{found: map[string]imageFound{}}

// imageOf finds the image of a program: the one named in the environment, the public one where it is there or can be pulled,
// or one that is built from what this machine has.
func imageOf(ctx context.Context, p program) (image, how string, err error) {
	image = p.image
	named := os.Getenv("EVENTSTORES_" + strings.ToUpper(p.name) + "_IMAGE")
	if named != "" {
		image = named
	}
	images.Lock()
	defer images.Unlock()
	wanted := image
	if found, ok := images.found[wanted]; ok {
		return found.image, found.how, nil
	}
	defer func() {
		if err == nil {
			images.found[wanted] = imageFound{image, how}
		}
	}()
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return "", "", err
	}
	defer provider.Close()
	if _, err := provider.Client().ImageInspect(ctx, image); err == nil {
		return image, "it was there", nil
	}
	pulling, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	pullErr := provider.PullImage(pulling, image)
	if pullErr == nil {
		return image, "pulled", nil
	}
	if named != "" {
		return "", "", fmt.Errorf("image %s can't be pulled: %w", image, pullErr)
	}
	executable, err := p.local()
	if err != nil {
		return "", "", fmt.Errorf("image %s can't be pulled (%w), nor built here: %w", image, pullErr, err)
	}
	archive, err := buildContext(executable, p.inImage)
	if err != nil {
		return "", "", err
	}
	built, err := provider.BuildImage(ctx, &testcontainers.ContainerRequest{FromDockerfile: testcontainers.FromDockerfile{
		ContextArchive: bytes.NewReader(archive),
		Repo:           "eventstores-go/" + p.name,
		Tag:            "local",
		KeepImage:      true,
	}})
	if err != nil {
		return "", "", fmt.Errorf("image %s can't be pulled (%w), nor built here: %w", image, pullErr, err)
	}
	return built, "built from this machine's " + filepath.Base(executable), nil
}

var library = regexp.MustCompile(`(/\S+) \(0x`)

// buildContext makes what an image FROM scratch of one executable and its shared libraries is built of.
func buildContext(executable, inImage string) ([]byte, error) {
	files := map[string]string{inImage: executable}
	if out, err := exec.Command("ldd", executable).Output(); err == nil { // fails for a static one
		for _, match := range library.FindAllStringSubmatch(string(out), -1) {
			files[match[1]] = match[1]
		}
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(name string, content []byte, mode int64) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	for _, to := range slices.Sorted(maps.Keys(files)) { // in one order, so that the engine knows the image again
		content, err := os.ReadFile(files[to])
		if err != nil {
			return nil, err
		}
		if err := add(filepath.Join("root", to), content, 0o755); err != nil {
			return nil, err
		}
	}
	if err := add("root/tmp/.keep", nil, 0o644); err != nil {
		return nil, err
	}
	if err := add("Dockerfile", []byte("FROM scratch\nCOPY root/ /\n"), 0o644); err != nil {
		return nil, err
	}
	return buf.Bytes(), w.Close()
}
