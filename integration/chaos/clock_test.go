package chaos

import "golang.org/x/sys/unix"

// monotonic is the machine's monotonic clock in nanoseconds. It is one for all processes, so that what they
// note can be put in order.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}
