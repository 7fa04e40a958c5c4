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

// Engine returns nil if a Docker engine can be used, and otherwise why not.
func Engine(ctx context.Context) error { return engine(ctx) }

// engine finds the engine once.
var engine = func() func(context.Context) error {
	var once sync.Once
	var failure error
	return func(ctx context.Context) error {
		once.Do(func() {
			if runtime.GOOS != "linux" {
				failure = errors.New("the containers use the network of this machine, which only works on Linux")
				return
			}
			// The image of testcontainers' reaper is not available everywhere. This package has its
			// own reaper.
			_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
			testlog.SetDefault(testlog.NewNoopLogger())
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			var docker *testcontainers.DockerClient
			if docker, failure = testcontainers.NewDockerClientWithOpts(ctx); failure == nil { // this has asked the engine
				_ = docker.Close()
			}
		})
		return failure
	}
}()

// pullTimeout is how long pulling an image may take, before it is built here instead.
const pullTimeout = time.Minute

// imageFound is an image and where it came from.
type imageFound struct{ image, how string }

var images = struct {
	sync.Mutex
	found map[string]imageFound
}{found: map[string]imageFound{}}

// imageOf finds the image of a program: the one that the environment names, the public one, or one
// that is built from this machine's files.
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

// StandIn is an image that replaces one that can't be pulled.
type StandIn struct {
	Name string // name of the image, below eventstores-go/
	What string // what of this machine it is built from

	// Files maps paths in the image to files and folders of this machine. They are below root/ in
	// the context of the Dockerfile. Folders are copied whole, and executables with their shared
	// libraries. The image also gets an empty /tmp.
	Files      map[string]string
	Dockerfile string
}

// Image finds an image that the engine has, pulls it, or builds its stand-in. If standIn is nil, it
// builds nothing. The returned how tells a person where the image came from.
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

// context returns the archive that the image is built from.
func (s StandIn) context() ([]byte, error) {
	files := maps.Clone(s.Files)
	for _, local := range s.Files {
		if info, err := os.Stat(local); err != nil || info.IsDir() {
			continue // a missing file is reported below
		}
		if out, err := exec.Command("ldd", local).Output(); err == nil { // fails for a static executable
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
	for _, to := range slices.Sorted(maps.Keys(files)) { // in one order, so that the engine recognizes the image
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
