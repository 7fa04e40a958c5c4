// Package version describes how a program was built.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Of returns one line that describes the running program: its name, the version of this module,
// the commit where the go command recorded it, and the version of Go.
func Of(program string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describe(program, info)
}

func describe(program string, info *debug.BuildInfo) string {
	version := info.Main.Version
	if version == "" {
		version = "(devel)" // the go command writes this where it knows no version
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", program, version)
	if revision := settings["vcs.revision"]; revision != "" {
		fmt.Fprintf(&b, ", commit %s", revision)
		if settings["vcs.modified"] == "true" {
			b.WriteString(" with uncommitted changes")
		}
	}
	fmt.Fprintf(&b, ", %s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return b.String()
}
