// Command gocache gives a go command in a container what this machine's go command has compiled
// before. It is a cache program, which "go help cache" and the documentation of
// cmd/go/internal/cacheprog describe. Its argument is the URL of the server that it asks. What the
// container compiles stays in the container.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

type request struct {
	ID       int64
	Command  string
	ActionID []byte
	OutputID []byte
	BodySize int64
}

type response struct {
	ID            int64
	Err           string     `json:",omitempty"`
	KnownCommands []string   `json:",omitempty"`
	Miss          bool       `json:",omitempty"`
	OutputID      []byte     `json:",omitempty"`
	Size          int64      `json:",omitempty"`
	Time          *time.Time `json:",omitempty"`
	DiskPath      string     `json:",omitempty"`
}

func main() {
	if err := run(os.Args[1], os.TempDir()); err != nil {
		fmt.Fprintln(os.Stderr, "gocache:", err)
		os.Exit(1)
	}
}

func run(server, folder string) error {
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(r response) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(r) // if no one reads the answers any more, the next read fails
	}
	say(response{KnownCommands: []string{"get", "put", "close"}})

	// The go command sends all its requests at once. A few answers at a time are enough.
	turns := make(chan struct{}, 16)
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var r request
		if err := in.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		var body []byte
		if r.Command == "put" && r.BodySize > 0 {
			if err := in.Decode(&body); err != nil {
				return err
			}
		}
		if r.Command == "close" {
			say(response{ID: r.ID})
			return nil
		}
		turns <- struct{}{}
		go func() {
			defer func() { <-turns }()
			answer, err := response{Miss: true}, error(nil)
			if r.Command == "put" {
				answer.Miss = false
				answer.DiskPath, err = keep(folder, r.OutputID, body)
			} else {
				answer, err = fetch(server, folder, r.ActionID)
			}
			if err != nil {
				answer = response{Err: err.Error()}
			}
			answer.ID = r.ID
			say(answer)
		}()
	}
}

// keep writes an output to a file for the go command and returns its path.
func keep(folder string, id, content []byte) (string, error) {
	path := filepath.Join(folder, fmt.Sprintf("gocache-%x", id))
	temporary, err := os.CreateTemp(folder, "gocache-*.part")
	if err != nil {
		return "", err
	}
	if _, err := temporary.Write(content); err != nil {
		return "", err
	}
	if err := temporary.Close(); err != nil {
		return "", err
	}
	return path, os.Rename(temporary.Name(), path)
}

// fetch asks the server for the output of an action.
func fetch(server, folder string, action []byte) (response, error) {
	answer, err := http.Get(fmt.Sprintf("%s/%x", server, action))
	if err != nil {
		return response{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound {
		return response{Miss: true}, nil
	}
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return response{}, err
	}
	var id []byte
	if _, err := fmt.Sscanf(answer.Header.Get("Output-Id"), "%x", &id); err != nil || answer.StatusCode != http.StatusOK {
		return response{}, fmt.Errorf("%s: %s", answer.Status, content)
	}
	path, err := keep(folder, id, content)
	now := time.Now()
	return response{OutputID: id, Size: int64(len(content)), Time: &now, DiskPath: path}, err
}
