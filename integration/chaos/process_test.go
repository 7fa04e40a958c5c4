package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// resultsFD is where a child process writes what it has to say.
const resultsFD = 3

// child is this executable once more, with something else to do.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer     // until it is closed the child goes on
	done  chan struct{} // closed when it has ended and all that it wrote was read
	err   error         // then: how it ended
	read  error         // then: what was wrong with what it wrote
}

// startChild starts this executable with a configuration in that environment variable. What it
// writes goes to read, which returns at its end.
func startChild(t *testing.T, variable string, config any, read func(io.Reader) error) (*child, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(executable)
	cmd.Env = append(os.Environ(), variable+"="+string(encoded))
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{to} // resultsFD
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	_ = to.Close()
	if err != nil {
		_ = from.Close()
		return nil, err
	}
	c := &child{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.read = read(from)
		_ = from.Close()
		c.err = errors.Join(c.read, cmd.Wait())
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-c.done
	})
	return c, nil
}

// configOf is what startChild was given, in the child.
func configOf(variable string, config any) {
	if err := json.Unmarshal([]byte(os.Getenv(variable)), config); err != nil {
		fatal(fmt.Errorf("%s: %w", variable, err))
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// untilStdinEnds closes the channel that it returns when the parent has closed this process's standard
// input, or has died.
func untilStdinEnds() <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return ended
}
