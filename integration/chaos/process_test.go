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

// resultsFD is the file descriptor to which a child process writes its results.
const resultsFD = 3

// child is a process that runs this executable in another role.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer     // the child runs until this is closed
	done  chan struct{} // closed when the child has ended and all its output was read
	err   error         // how it ended, set before done is closed
	read  error         // what was wrong with its output, set before done is closed
}

// startChild starts this executable with a configuration in the named environment variable. The
// function read gets the child's results, and returns when they end.
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

// configOf reads, in the child, the configuration that startChild was given.
func configOf(variable string, config any) {
	if err := json.Unmarshal([]byte(os.Getenv(variable)), config); err != nil {
		fatal(fmt.Errorf("%s: %w", variable, err))
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// untilStdinEnds returns a channel. It closes the channel when the parent has closed this process's
// standard input or has died.
func untilStdinEnds() <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return ended
}
