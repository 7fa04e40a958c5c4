package main

import (
	"bufio"
	"context"
	"errors"
	"strings"
)

// confirm asks a question and returns an error unless the answer is yes.
func (c *call) confirm(ctx context.Context, question string) error {
	text(c.stderr, question+" [y/N] ")
	answers := make(chan string, 1)
	go func() { // a read of a terminal cannot be stopped
		line, _ := bufio.NewReader(c.stdin).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		text(c.stderr, "\n")
		return ctx.Err()
	case answer := <-answers:
		if answer != "y" && answer != "yes" {
			return errors.New("not confirmed: nothing was done")
		}
		return nil
	}
}
