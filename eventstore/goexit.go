package eventstore

import (
	"runtime"
	"strings"
)

// exiting reports whether the function that deferred its caller ends by [runtime.Goexit], as a test
// does that fails in the middle of an operation. recover cannot tell this from a return, because it
// returns nil for both. The call stack can: on a return, the function itself calls what it has
// deferred. Without a return, Goexit calls it.
//
// exiting looks only at that one caller. An operation may also run, and return, inside a function
// that was deferred before a Goexit.
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
