package version

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestTheDescriptionHoldsWhatTheBuildRecorded(t *testing.T) {
	t.Parallel()
	end := ", " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs.revision", Value: "4349d38"}, {Key: "vcs.modified", Value: modified}}
	}
	for name, c := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"nothing recorded": {debug.BuildInfo{}, "p (devel)"},
		"a release":        {debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "p v1.2.3"},
		"a commit": {
			debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs("false")},
			"p (devel), commit 4349d38",
		},
		"a changed tree": {
			debug.BuildInfo{Main: debug.Module{Version: "v1.2.3+dirty"}, Settings: vcs("true")},
			"p v1.2.3+dirty, commit 4349d38 with uncommitted changes",
		},
	} {
		if got := read(&c.info).describe("p"); got != c.want+end {
			t.Errorf("%s: %q, want %q", name, got, c.want+end)
		}
	}
}

func TestTheRunningProgramIsDescribed(t *testing.T) {
	t.Parallel()
	if got := Of("p"); !strings.HasPrefix(got, "p ") || !strings.Contains(got, runtime.Version()) {
		t.Errorf("got %q", got)
	}
}
