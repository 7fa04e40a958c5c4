package servers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// cgroups lists the folders of control groups of version 1 and 2, and the files in them that limit
// memory. The optional files limit swap, which not every kernel counts.
var cgroups = []struct {
	version, root, parent, limit, swap string
}{
	{"2", "/sys/fs/cgroup", "cgroup.subtree_control", "memory.max", "memory.swap.max"},
	{"1", "/sys/fs/cgroup/memory", "", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
}

// LimitMemory moves a process of this machine into its own control group. The kernel kills the
// process when it takes more bytes of memory. Call remove when the process has ended, to delete the
// group. LimitMemory fails where it can't make such a group. It requires root and a writable file
// system of control groups.
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
			swap := bytes // memory and swap together
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
