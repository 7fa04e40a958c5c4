package containers

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// load reads compose.yaml with the parser of the current Compose, which rejects fields that are not
// in the specification.
func load(t *testing.T, content []byte, environment types.Mapping) (*types.Project, error) {
	t.Helper()
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  folder,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(folder, "compose.yaml"), Content: content}},
		Environment: environment,
	}, func(o *loader.Options) { o.SetProjectName("eventstores-go", true) })
}

// safe returns an error for everything that is open in compose.yaml and should not be.
func safe(p *types.Project) error {
	var found []error
	for name, s := range p.Services {
		wrong := func(format string, arguments ...any) {
			found = append(found, fmt.Errorf("%s %s", name, fmt.Sprintf(format, arguments...)))
		}
		serves := name == "demo" || name == "notify"
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" || !serves {
				wrong("is published at %q", port.HostIP)
			}
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges") {
			wrong("has more rights than it needs")
		}
		if s.Restart != "unless-stopped" {
			wrong("is not restarted")
		}
		if s.HealthCheck == nil && !serves {
			wrong("has no health check")
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind && !v.ReadOnly {
				wrong("may write to %s", v.Source)
			}
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					wrong("mounts a missing file: %v", err)
				}
			}
		}
		for network := range s.Networks {
			if !serves && !p.Networks[network].Internal {
				wrong("reaches beyond its network")
			}
		}
	}
	token := func(service string) string {
		if v := p.Services[service].Environment["DAPR_API_TOKEN"]; v != nil {
			return *v
		}
		return ""
	}
	for service, sidecar := range map[string]string{"demo": "daprd", "notify": "notify-daprd"} {
		if token(sidecar) == "" {
			found = append(found, fmt.Errorf("%s requires no token", sidecar))
		}
		if token(service) != token(sidecar) {
			found = append(found, fmt.Errorf("%s has no token, or another than %s requires", service, sidecar))
		}
		if keys := p.Services[service].Environment["BANK_KEYS"]; keys == nil || *keys == "" {
			found = append(found, fmt.Errorf("%s has no keys", service))
		}
		arguments := p.Services[sidecar].Command
		if !slices.Contains(arguments, "--dapr-internal-grpc-listen-address=127.0.0.1") {
			found = append(found, fmt.Errorf("%s listens for other sidecars", sidecar))
		}
		if slices.ContainsFunc(arguments, func(a string) bool { return strings.HasPrefix(a, "--app-port") }) {
			found = append(found, fmt.Errorf("other services can reach the service through %s", sidecar))
		}
		for _, name := range []string{service, sidecar} {
			if image := p.Services[name].Image; !strings.HasPrefix(image, "localhost/") {
				found = append(found, fmt.Errorf("a registry may have another image called %s", image))
			}
		}
		if address := p.Services[service].Environment["DAPR_GRPC_ENDPOINT"]; address == nil || *address != sidecar+":50001" {
			found = append(found, fmt.Errorf("%s does not use %s", service, sidecar))
		}
	}
	for between, want := range map[string][]string{"sidecar": {"daprd", "demo"}, "notify-sidecar": {"notify", "notify-daprd"}, "data": {"daprd", "notify-daprd", "redis"}} {
		var on []string
		for name, s := range p.Services {
			if _, ok := s.Networks[between]; ok {
				on = append(on, name)
			}
		}
		slices.Sort(on)
		if !slices.Equal(on, want) {
			found = append(found, fmt.Errorf("network %s has %v, want %v", between, on, want))
		}
	}
	return errors.Join(found...)
}

func TestComposeFileIsOfTodaysSpecificationAndSafe(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(root, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	withPassword := types.Mapping{"REDIS_PASSWORD": password, "DAPR_API_TOKEN": apiToken, "BANK_KEYS": keys}
	project, err := load(t, content, withPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := safe(project); err != nil {
		t.Error(err)
	}
	for _, secret := range []string{"REDIS_PASSWORD", "DAPR_API_TOKEN", "BANK_KEYS"} {
		lacking := maps.Clone(withPassword)
		delete(lacking, secret)
		if _, err := load(t, content, lacking); err == nil || !strings.Contains(err.Error(), secret) {
			t.Errorf("compose.yaml is accepted without %s: %v", secret, err)
		}
	}

	for _, mistake := range []struct{ old, with, says string }{
		{"    read_only: true\n", "    readonly: true\n", "readonly"},
		{"127.0.0.1:${PORT", "${PORT", "is published"},
		{"    networks: [data]\n", "    networks: [data]\n    ports: [\"127.0.0.1:6379:6379\"]\n", "redis is published"},
		{"    networks: [data]\n", "    networks: [data, sidecar]\n", "network sidecar has [daprd demo redis]"},
		{"  data:\n    internal: true", "  data:", "reaches beyond its network"},
		{"    cap_drop: [ALL]\n", "", "has more rights than it needs"},
		{"    restart: unless-stopped\n", "", "is not restarted"},
		{"/components:ro", "/components", "may write to"},
		{"      DAPR_API_TOKEN: ${DAPR_API_TOKEN}\n", "", "requires no token"},
		{"      DAPR_API_TOKEN: ${DAPR_API_TOKEN:?", "      DAPR_TOKEN: ${DAPR_API_TOKEN:?", "has no token"},
		{"- --dapr-internal-grpc-listen-address=127.0.0.1", "- --dapr-internal-grpc-listen-address=0.0.0.0", "for other sidecars"},
		{"- --app-id=bank", "- --app-id=bank\n    - --app-port=8080", "through daprd"},
		{"- --app-id=notify", "- --app-id=notify\n    - --app-port=8080", "through notify-daprd"},
		{"networks: [front, notify-sidecar]", "networks: [front, sidecar, notify-sidecar]", "network sidecar has [daprd demo notify]"},
		{"      BANK_KEYS: ${BANK_KEYS} ", "      KEYS: ${BANK_KEYS} ", "notify has no keys"},
		{"notify-daprd:50001", "daprd:50001", "notify does not use notify-daprd"},
		{"127.0.0.1:${NOTIFY_PORT", "${NOTIFY_PORT", "notify is published"},
		{"localhost/eventstores-go/demo:dev", "eventstores-go/demo:dev", "a registry may have"},
		{"./deploy/compose/config.yaml", "./deploy/compose/conf.yaml", "mounts a missing file"},
	} {
		if !strings.Contains(string(content), mistake.old) {
			t.Errorf("compose.yaml does not say %q", mistake.old)
			continue
		}
		project, err := load(t, []byte(strings.Replace(string(content), mistake.old, mistake.with, 1)), withPassword)
		if err == nil {
			err = safe(project)
		}
		if err == nil || !strings.Contains(err.Error(), mistake.says) {
			t.Errorf("with %q found: %v\nwant: %s", mistake.with, err, mistake.says)
		}
	}
}
