package servers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// cgroups are where control groups of version 1 and 2 are, and the files that limit memory in them.
// Those that are optional are about swap, which not every kernel counts.
var cgroups = []struct {
	version, root, parent, limit, swap string
}{
	{"2", "/sys/fs/cgroup", "cgroup.subtree_control", "memory.max", "memory.swap.max"},
	{"1", "/sys/fs/cgroup/memory", "", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
}

// LimitMemory puts a process of this machine into a control group of its own, in which it is killed when
// it takes more bytes of memory. Remove takes the group away when the process has ended. It fails where
// no such group can be made, which takes root and a file system that may be written.
func LimitMemory(pid int, bytes int64) (remove func(), err error) {
	var failures []error
	for _, v := range cgroups {
		if _, err := os.Stat(filepath.Join(v.root, "cgroup.procs")); err != nil {
			failures = append(failures, err)
			continue
		}
		group := filepath.Join(v.root, fmt.Sprintf("eventstores-%d", pid))
		remove := func() { _ = os.Remove(group) }
		set := func(file, value string) error { return os.WriteFile(filepath.Join(group, file), []byte(value), 0o600) }
		err := func() error {
			if v.parent != "" {
				if err := os.WriteFile(filepath.Join(v.root, v.parent), []byte("+memory"), 0o600); err != nil {
					return err
				}
			}
			if err := os.Mkdir(group, 0o755); err != nil {
				return err
			}
			if err := set(v.limit, strconv.FormatInt(bytes, 10)); err != nil {
				return err
			}
			swap := bytes // of memory and swap together
			if v.version == "2" {
				swap = 0
			}
			_ = set(v.swap, strconv.FormatInt(swap, 10))
			return set("cgroup.procs", strconv.Itoa(pid))
		}()
		if err == nil {
			return remove, nil
		}
		remove()
		failures = append(failures, fmt.Errorf("control groups of version %s: %w", v.version, err))
	}
	return nil, errors.Join(failures...)
}
