package servers

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

// Engine says whether a Docker engine can be used: nil, or what is wrong with it.
func Engine(ctx context.Context) error { return engine(ctx) }

// engine is asked once.
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

// imageOf finds the image of a program: the one named in the environment, the public one, or one that is built from what
// this machine has.
func imageOf(ctx context.Context, p program) (image, how string, err error) {
	if named := os.Getenv("EVENTSTORES_" + strings.ToUpper(p.name) + "_IMAGE"); named != "" {
		return Image(ctx, named, nil)
	}
	return Image(ctx, p.image, func(ctx context.Context) (StandIn, error) {
		executable, err := p.local()
		return StandIn{
			Name:       p.name,
			What:       filepath.Base(executable),
			Files:      map[string]string{p.inImage: executable},
			Dockerfile: "FROM scratch\nCOPY root/ /\n",
		}, err
	})
}

// StandIn is an image that takes the place of one that can't be pulled.
type StandIn struct {
	Name string // of the image, below eventstores-go/
	What string // of this machine it is built from

	// Files are what it is built from, below root/ in the context of its Dockerfile: paths in the image, and what
	// goes there. Of a folder all goes there, an executable takes its shared libraries along. There is an empty /tmp.
	Files      map[string]string
	Dockerfile string
}

// Image finds an image: it is there, it can be pulled, or what takes its place is built; without standIn nothing does. How it
// was had is for a person to read.
func Image(ctx context.Context, image string, standIn func(context.Context) (StandIn, error)) (found, how string, err error) {
	images.Lock()
	defer images.Unlock()
	if found, ok := images.found[image]; ok {
		return found.image, found.how, nil
	}
	defer func() {
		if err == nil {
			images.found[image] = imageFound{found, how}
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
	if standIn == nil {
		return "", "", fmt.Errorf("image %s can't be pulled: %w", image, pullErr)
	}
	s, err := standIn(ctx)
	if err != nil {
		return "", "", fmt.Errorf("image %s can't be pulled (%w), nor built here: %w", image, pullErr, err)
	}
	archive, err := s.context()
	if err != nil {
		return "", "", err
	}
	built, err := provider.BuildImage(ctx, &testcontainers.ContainerRequest{FromDockerfile: testcontainers.FromDockerfile{
		ContextArchive: bytes.NewReader(archive),
		Repo:           "eventstores-go/" + s.Name,
		Tag:            "local",
		KeepImage:      true,
	}})
	if err != nil {
		return "", "", fmt.Errorf("image %s can't be pulled (%w), nor built here: %w", image, pullErr, err)
	}
	return built, "built from this machine's " + s.What, nil
}

var library = regexp.MustCompile(`(/\S+) \(0x`)

// context makes what the image is built of.
func (s StandIn) context() ([]byte, error) {
	files := maps.Clone(s.Files)
	for _, local := range s.Files {
		if info, err := os.Stat(local); err != nil || info.IsDir() {
			continue // a file that is not there is missed below
		}
		if out, err := exec.Command("ldd", local).Output(); err == nil { // fails for a static one
			for _, match := range library.FindAllStringSubmatch(string(out), -1) {
				files[match[1]] = match[1]
			}
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
		err := filepath.WalkDir(files[to], func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return add(filepath.Join("root", to, strings.TrimPrefix(path, files[to])), content, 0o755)
		})
		if err != nil {
			return nil, err
		}
	}
	if err := add("root/tmp/.keep", nil, 0o644); err != nil {
		return nil, err
	}
	if err := add("Dockerfile", []byte(s.Dockerfile), 0o644); err != nil {
		return nil, err
	}
	return buf.Bytes(), w.Close()
}
