package eventstore

import (
	"runtime"
	"strings"
)

// exiting reports whether the function that deferred the caller ends by [runtime.Goexit], as a test does that fails in the middle of an
// operation. Nothing else tells that from a return: recover gives nil for both. A deferred function is called by the one
// that returns, and by Goexit itself where there is no return.
//
// It looks no further than that caller, for an operation may also run, and return, in a function that was deferred before a Goexit.
func exiting() bool {
	var callers [4]uintptr
	// 0 is Callers, 1 this function, 2 the deferred one.
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])])
	for {
		frame, more := frames.Next()
		// The compiler wraps a deferred call that has arguments.
		if !strings.Contains(frame.Function, ".deferwrap") || !more {
			return frame.Function == "runtime.Goexit"
		}
	}
}
