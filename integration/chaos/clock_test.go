package chaos

import "golang.org/x/sys/unix"

// monotonic returns the machine's monotonic clock in nanoseconds. All processes share this clock,
// so that their notes can be put in order.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}
