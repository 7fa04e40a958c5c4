package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// A sidecar ignores a part of its configuration that it can't use, and only says so in its log. The
// test leaves out the configuration for Dapr's injector, which is for a sidecar with the control
// plane.
func TestTheConfigurationsOfThisProjectAreTakenAsAWhole(t *testing.T) {
	t.Parallel()
	files := []string{"components/config.yaml", "deploy/compose/config.yaml", "deploy/kubernetes/plain-sidecar/configuration.yaml"}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(filepath.Join(root(t), file))
			if err != nil {
				t.Fatal(err)
			}
			d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Config: string(content), Components: []string{servers.InMemoryState("statestore")}})
			for _, line := range failures(d.Log()) {
				t.Errorf("the sidecar logs: %s", line)
			}
		})
	}
	t.Run("and one that is not is noticed", func(t *testing.T) {
		t.Parallel()
		content, err := os.ReadFile(filepath.Join(root(t), files[0]))
		if err != nil {
			t.Fatal(err)
		}
		wrong := strings.Replace(string(content), "{appid}", "localhost", 1)
		d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Config: wrong, Components: []string{servers.InMemoryState("statestore")}})
		if found := failures(d.Log()); len(found) != 1 || !strings.Contains(found[0], "INIT_COMPONENT_FAILURE") {
			t.Errorf("got %q", found)
		}
	})
}

// failures returns the lines of a sidecar's log that report a failure.
func failures(log string) (lines []string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=error") || strings.Contains(line, "level=fatal") || strings.Contains(line, "_FAILURE") {
			lines = append(lines, line)
		}
	}
	return lines
}
