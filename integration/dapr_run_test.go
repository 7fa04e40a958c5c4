package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/hexalith/eventstores-go/integration/parts"
)

// runFile is a run file of the Dapr CLI, with those of its fields that dapr.yaml uses. The CLI ignores a field whose name it
// does not know; the test does not.
type runFile struct {
	Version int `yaml:"version"`
	Apps    []struct {
		AppID              string   `yaml:"appID"`
		AppDirPath         string   `yaml:"appDirPath"`
		ResourcesPaths     []string `yaml:"resourcesPaths"`
		Command            []string `yaml:"command"`
		AppLogDestination  string   `yaml:"appLogDestination"`
		APIListenAddresses string   `yaml:"apiListenAddresses"`
	} `yaml:"apps"`
}

// TestTheRunFileRunsTheTourBesideASidecar does with dapr.yaml what "dapr run -f ." does: it starts a sidecar for the app,
// with the component files of its resources, and then the command in the app's folder. It does not run the CLI
// itself, which the tests do not have.
func TestTheRunFileRunsTheTourBesideASidecar(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "")
	content, err := os.ReadFile(filepath.Join(root(t), "dapr.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file runFile
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if file.Version != 1 || len(file.Apps) != 1 {
		t.Fatalf("dapr.yaml is version %d with %d apps, want version 1 with 1", file.Version, len(file.Apps))
	}
	app := file.Apps[0]
	if app.AppID != "bank" || app.AppDirPath == "" || len(app.Command) == 0 || len(app.ResourcesPaths) == 0 {
		t.Fatalf("dapr.yaml lacks what the CLI needs: %+v", app)
	}
	if app.AppLogDestination != "console" || app.APIListenAddresses != "127.0.0.1" {
		t.Errorf("the app logs to %q and the sidecar listens on %q, want console and 127.0.0.1", app.AppLogDestination, app.APIListenAddresses)
	}

	dir := filepath.Join(root(t), app.AppDirPath)
	r := parts.StartRedis(t)
	var files []string
	for _, path := range app.ResourcesPaths {
		files = append(files, componentFiles(t, filepath.Join(dir, path), r)...)
	}
	d := parts.StartDaprd(t, parts.DaprdConfig{AppID: app.AppID, Components: files})
	out, err := besideSidecar(t, d, dir, app.Command...)
	says(t, out, err, `app "bank"`, "(state.redis)", `by the lock component "lockstore"`)
}
