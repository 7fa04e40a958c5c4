//go:build !linux

package servers

import "syscall"

// endWithParent does nothing, because only Linux can do this.
func endWithParent(*syscall.SysProcAttr) {}
