package chaos

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo starts a server that sends back what it receives.
func echo(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func connect(t *testing.T, l *link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// say sends a byte. It returns nil if the byte comes back, and otherwise the error.
func say(t *testing.T, c net.Conn) error {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second)) // far more than it takes
	if _, err := c.Write([]byte("?")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func TestALinkThatIsHarmedGivesNoAnswerUntilItIsHealed(t *testing.T) {
	t.Parallel()
	healed := func(l *link) error { l.heal(); return nil }
	for name, test := range map[string]struct {
		harm  func(l *link) error
		heal  func(l *link) error
		quiet bool // the connection stays open until it is healed
	}{
		"cut":             {func(l *link) error { l.cut(); return nil }, (*link).mend, false},
		"requests reset":  {func(l *link) error { return l.reset(requests) }, healed, false},
		"answers reset":   {func(l *link) error { return l.reset(answers) }, healed, false},
		"requests silent": {func(l *link) error { return l.silence(requests) }, healed, true},
		"answers silent":  {func(l *link) error { return l.silence(answers) }, healed, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLink(t, name, echo(t))
			c := connect(t, l)
			if err := say(t, c); err != nil {
				t.Fatalf("before the fault: %v", err)
			}
			if err := test.harm(l); err != nil {
				t.Fatal(err)
			}
			answer := make(chan error, 1)
			go func() { answer <- say(t, c) }()
			if !test.quiet {
				if err := <-answer; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("with the fault: %v", err)
				}
			}
			if err := test.heal(l); err != nil {
				t.Fatal(err)
			}
			if test.quiet {
				if err := <-answer; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the byte sent during the fault: %v", err)
				}
			}
			if err := say(t, connect(t, l)); err != nil {
				t.Errorf("after the fault: %v", err)
			}
		})
	}
}

func TestALinkThatIsDelayedLosesNothing(t *testing.T) {
	t.Parallel()
	l := startLink(t, "delayed", echo(t))
	for _, d := range []direction{requests, answers} {
		if err := l.delay(d, 20); err != nil {
			t.Fatal(err)
		}
	}
	c := connect(t, l)
	began := time.Now()
	if err := say(t, c); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 20*time.Millisecond { // twice 20 ms, less half of it
		t.Errorf("it took only %s", took)
	}
	l.heal()
	if err := say(t, c); err != nil {
		t.Errorf("after the fault: %v", err)
	}
}
