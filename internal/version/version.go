// Package version describes how a program was built.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Build is how the running program was built.
type Build struct {
	Version  string `json:"version"`          // of this module
	Commit   string `json:"commit,omitempty"` // empty if it is not known
	Modified bool   `json:"modified"`         // there were uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Read returns how the running program was built.
func Read() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return read(info)
}

// Of returns one line that describes the running program: its name, the version of this module,
// the commit where the go command recorded it, and the version of Go.
func Of(program string) string {
	return Read().describe(program)
}

func read(info *debug.BuildInfo) Build {
	version := info.Main.Version
	if version == "" {
		version = "(devel)" // the go command writes this where it knows no version
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	return Build{
		Version: version, Commit: settings["vcs.revision"], Modified: settings["vcs.modified"] == "true",
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

func (build Build) describe(program string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", program, build.Version)
	if build.Commit != "" {
		fmt.Fprintf(&b, ", commit %s", build.Commit)
		if build.Modified {
			b.WriteString(" with uncommitted changes")
		}
	}
	fmt.Fprintf(&b, ", %s %s", build.Go, build.Platform)
	return b.String()
}
