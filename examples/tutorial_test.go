// Package examples tests docs/tutorial.md. The other examples test themselves.
package examples

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	tutorial = "../docs/tutorial.md"
	patience = 30 * time.Second // with what the shop does a moment later
)

var writeTutorial = flag.Bool("write", false, "write the files of examples/shop into docs/tutorial.md again")

var (
	block     = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	fileName  = regexp.MustCompile("(?m)^`([\\w./]+)`:\n\n\\z")
	stepTitle = regexp.MustCompile(`(?m)^## Step (\d)`)
	took      = regexp.MustCompile(`\b\d+\.\d+s\b`)
)

// part is a block of the tutorial: a file, or what a terminal shows.
type part struct {
	step      string // the folder of the step
	file      string // or ""
	text      string
	from, end int // of the text in the document
}

func parts(t *testing.T, document string) (all []part) {
	t.Helper()
	for _, at := range block.FindAllStringSubmatchIndex(document, -1) {
		p := part{text: document[at[4]:at[5]], from: at[4], end: at[5]}
		for _, title := range stepTitle.FindAllStringSubmatch(document[:at[0]], -1) {
			p.step = filepath.Join("shop", "step"+title[1])
		}
		if language := document[at[2]:at[3]]; language != "console" && language != "text" {
			name := fileName.FindStringSubmatch(document[:at[0]])
			if name == nil {
				t.Fatalf("the tutorial does not name the file above this block:\n%s", p.text)
			}
			p.file = name[1]
		}
		all = append(all, p)
	}
	if len(all) < 40 {
		t.Fatalf("the tutorial has %d blocks", len(all))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Each file that the tutorial shows is the one in the folder of the step.
func TestTheTutorialShowsTheFiles(t *testing.T) {
	t.Parallel()
	document := read(t, tutorial)
	for _, p := range slices.Backward(parts(t, document)) {
		if p.file == "" {
			continue
		}
		path := filepath.Join(p.step, p.file)
		want := read(t, path)
		if p.text != want && !*writeTutorial {
			t.Errorf("the tutorial shows another %s; correct that with: cd examples && go test -run TheTutorialShows . -write", path)
		}
		document = document[:p.from] + want + document[p.end:]
	}
	if *writeTutorial {
		if err := os.WriteFile(tutorial, []byte(document), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A reader who begins with an empty folder gets what the tutorial says, and the files of each step.
// Beside a sidecar, the program of each step goes on with the same history.
func TestTheTutorialCanBeFollowed(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	for _, p := range parts(t, read(t, tutorial)) {
		if p.step != r.step {
			r.finish()
		}
		r.step = p.step
		switch {
		case p.file != "":
			r.write(p.file, p.text)
		case strings.HasPrefix(p.text, "$ "):
			for _, command := range strings.Split("\n"+p.text, "\n$ ")[1:] {
				command, prints, _ := strings.Cut(command, "\n")
				r.do(command, strings.TrimSuffix(prints, "\n"))
			}
		default:
			for line := range strings.Lines(p.text) {
				r.shop.prints(t, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	r.finish()
	r.shop.stop(t)
}

// reader follows the tutorial.
type reader struct {
	t       *testing.T
	step    string
	dir     string // in which the commands run
	bin     string // of the programs
	address string // of the shop
	env     []string
	shop    *shop          // or nil
	sidecar *servers.Daprd // or nil
	asked   string         // the last question to the shop
	told    string         // its answer
}

func newReader(t *testing.T) *reader {
	t.Helper()
	dir, bin := t.TempDir(), t.TempDir()
	address := fmt.Sprintf("localhost:%d", servers.FreePorts(t, 1)[0])
	// Without -trimpath, Go compiles everything again for the names of the temporary folders.
	return &reader{t: t, dir: dir, bin: bin, address: address, env: append(os.Environ(),
		"GOWORK=off", "GOFLAGS="+os.Getenv("GOFLAGS")+" -trimpath -ldflags=-w", "GOBIN="+bin, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "ADDRESS="+address)}
}

func (r *reader) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

// do runs a command, and compares what it prints.
func (r *reader) do(command, prints string) {
	r.t.Helper()
	switch words := strings.Fields(command); {
	case words[0] == "git": // which needs a network
		root, err := servers.Root()
		if err == nil {
			err = os.Symlink(root, filepath.Join(r.dir, "eventstores-go"))
		}
		if err != nil {
			r.t.Fatal(err)
		}
	case words[0] == "cd":
		r.dir = filepath.Join(r.dir, words[1])
	case command == "go mod tidy": // which may need one too
		r.tidy()
	case strings.HasSuffix(command, "go run .") && strings.Contains(prints, "http://"):
		r.start(words[0] == "dapr", prints)
	default:
		r.compareOutput(command, prints)
	}
}

// tidy makes the module files that "go mod tidy" makes.
func (r *reader) tidy() {
	r.t.Helper()
	module := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllString(read(r.t, "shop/go.mod"), "module shop")
	r.write("go.mod", strings.ReplaceAll(module, "=> ../../", "=> ../eventstores-go"))
	r.write("go.sum", read(r.t, "shop/go.sum"))
}

// compareOutput runs a command in a shell. What asks the shop or the store is repeated until it
// prints what it should, because the shop works on after it has answered.
func (r *reader) compareOutput(command, prints string) {
	r.t.Helper()
	asks := strings.HasPrefix(command, "eventstores ")
	if strings.HasPrefix(command, "curl ") && !strings.Contains(command, " -X ") {
		asks, r.asked, r.told = true, command, prints
	}
	line := strings.ReplaceAll(strings.ReplaceAll(command, "localhost:8080", r.address), "curl ", "curl -sS ")
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		run := exec.CommandContext(r.t.Context(), "bash", "-c", line)
		run.Dir, run.Env = r.dir, r.env
		var stderr strings.Builder
		run.Stderr = &stderr
		out, err := run.Output()
		if err == nil && normal(string(out)) == normal(prints) {
			return
		}
		if !asks || time.Now().After(end) {
			r.t.Fatalf("%s: %s prints\n%s%s%v\nand the tutorial says\n%s", r.step, command, out, &stderr, err, prints)
		}
	}
}

// normal returns a text without what differs from one run to the next.
func normal(text string) string {
	return strings.TrimSpace(took.ReplaceAllString(strings.ReplaceAll(text, "\t", " "), "0s"))
}

// compare checks that the folder has the files of a step, and no others.
func (r *reader) compare(step string) {
	r.t.Helper()
	got, want := sources(r.t, r.dir), sources(r.t, step)
	if !slices.Equal(got, want) {
		r.t.Fatalf("%s has the files %q, and the reader has %q", step, want, got)
	}
	for _, name := range want {
		if read(r.t, filepath.Join(step, name)) != read(r.t, filepath.Join(r.dir, name)) {
			r.t.Errorf("the reader has another %s than %s: the tutorial must show it in that step", name, step)
		}
	}
}

func sources(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if extension := filepath.Ext(path); extension == ".go" || extension == ".yaml" {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// start builds the shop and starts it, in place of the one that runs.
func (r *reader) start(besideSidecar bool, prints string) {
	r.t.Helper()
	build := exec.CommandContext(r.t.Context(), "go", "build", "-o", filepath.Join(r.bin, "shop"), ".")
	build.Dir, build.Env = r.dir, r.env
	if out, err := build.CombinedOutput(); err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
	r.restart(besideSidecar, strings.ReplaceAll(prints, "localhost:8080", r.address))
}

// restart starts the shop, alone or beside a sidecar, in place of the one that runs.
func (r *reader) restart(besideSidecar bool, prints string) {
	r.t.Helper()
	if r.shop != nil {
		r.shop.stop(r.t)
	}
	env := r.env
	if besideSidecar {
		if r.sidecar == nil {
			r.startSidecar()
		}
		env = append(slices.Clip(env), fmt.Sprintf("DAPR_GRPC_PORT=%d", r.sidecar.GRPCPort))
	}
	r.shop = startShop(r.t, filepath.Join(r.bin, "shop"), r.dir, env)
	r.shop.prints(r.t, prints)
}

// startSidecar starts a sidecar with the components of the last step, in the folder of the reader.
func (r *reader) startSidecar() {
	r.t.Helper()
	var components []string
	for _, name := range sources(r.t, "shop/step5/components") {
		text := read(r.t, filepath.Join("shop/step5/components", name))
		components = append(components, strings.ReplaceAll(text, "file:", "file:"+r.dir+"/"))
	}
	r.sidecar = servers.StartDaprd(r.t, servers.DaprdConfig{AppID: "shop", Components: components, Folders: []string{r.dir}})
}

// finish checks what the reader has at the end of a step.
func (r *reader) finish() {
	r.t.Helper()
	if r.step != "" {
		r.compare(r.step)
	}
	if r.shop != nil {
		r.restart(true, "the shop is open at http://"+r.address)
		r.compareOutput(r.asked, r.told)
	}
}

// shop is a shop that runs.
type shop struct {
	command *exec.Cmd
	lines   chan string // what it prints, without what Dapr's SDK does
	stderr  strings.Builder
}

func startShop(t *testing.T, program, dir string, env []string) *shop {
	t.Helper()
	s := &shop{command: exec.CommandContext(context.WithoutCancel(t.Context()), program), lines: make(chan string, 1000)}
	s.command.Dir, s.command.Env, s.command.Stderr = dir, env, &s.stderr
	out, err := s.command.StdoutPipe()
	if err == nil {
		err = s.command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.command.Process.Kill() })
	go s.scan(out)
	return s
}

func (s *shop) scan(out io.Reader) {
	defer close(s.lines)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "dapr client ") {
			s.lines <- lines.Text()
		}
	}
}

// prints waits until the shop prints a line.
func (s *shop) prints(t *testing.T, line string) {
	t.Helper()
	for timeout := time.After(patience); ; {
		select {
		case got, ok := <-s.lines:
			if got == line {
				return
			}
			if ok {
				t.Errorf("the shop prints %q, and the tutorial says %q", got, line)
				continue
			}
			_ = s.command.Wait()
		case <-timeout:
		}
		t.Fatalf("the shop does not print %q:\n%s", line, &s.stderr)
	}
}

// stop stops the shop, as Ctrl+C does.
func (s *shop) stop(t *testing.T) {
	t.Helper()
	if err := s.command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for range s.lines { // until it has ended
	}
	if err := s.command.Wait(); err != nil || s.stderr.Len() > 0 {
		t.Errorf("the shop ends with %v, after it has said\n%s", err, &s.stderr)
	}
}
