package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
)

// confirm asks a question and returns an error unless the answer is yes.
func (c *call) confirm(ctx context.Context, question string) error {
	text(c.stderr, question+" [y/N] ")
	answer, err := bufio.NewReader(c.stdin).ReadString('\n')
	if ctx.Err() != nil {
		text(c.stderr, "\n")
		return ctx.Err()
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	case "":
		if err != nil { // a script, not a person
			text(c.stderr, "\n")
			return errors.New("not confirmed: nothing was done; give --yes if there is no one to answer")
		}
	}
	return errors.New("not confirmed: nothing was done")
}

// interruptible is a reader that stops to wait when ctx ends. A read of a terminal or a pipe cannot
// be stopped, so it goes on in the background.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

// Read reads as the reader does, or returns the error of the context.
func (i interruptible) Read(p []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		own := make([]byte, len(p)) // p belongs to the caller again once Read has returned
		n, err := i.r.Read(own)
		done <- result{own[:n], err}
	}()
	select {
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	case r := <-done:
		return copy(p, r.data), r.err
	}
}
