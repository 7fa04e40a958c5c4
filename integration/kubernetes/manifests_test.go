package kubernetes

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheManifestsFitKubernetesDaprAndTheService(t *testing.T) {
	t.Parallel()
	s, err := readService()
	if err != nil {
		t.Fatal(err)
	}
	if err := check(manifests(t), s); err != nil {
		t.Error(err)
	}
}

// TestEveryMistakeInAManifestIsFound changes the manifests, one mistake at a time.
func TestEveryMistakeInAManifestIsFound(t *testing.T) {
	t.Parallel()
	s, err := readService()
	if err != nil {
		t.Fatal(err)
	}
	for _, mistake := range []struct {
		name string
		file string
		old  string
		with string
		says string
	}{
		{"a field that Kubernetes does not know", "base/deployment.yaml", "replicas: 2", "replica: 2", `unknown field "replica"`},
		{"a field in the wrong place", "base/deployment.yaml", "      serviceAccountName: bank", "      timeoutSeconds: 1", "unknown field"},
		{"a field that Dapr does not know", "base/statestore.yaml", "  version: v1\n", "  vresion: v1\n", "unknown field"},
		{"a field of a Configuration that Dapr does not know", "base/configuration.yaml", "samplingRate", "sampleRate", "unknown field"},
		{"a field that Dapr does not know in a file of the ConfigMap", "plain-sidecar/lockstore.yaml", "metadata:\n  - name", "metdata:\n  - name", "unknown field"},
		{"a namespace", "base/service.yaml", "  name: bank\n", "  name: bank\n  namespace: prod\n", "names namespace prod"},
		{"a Secret", "redis/service.yaml", "kind: Service", "kind: Secret", "do not know kind v1/Secret"},
		{"labels that the Deployment does not select", "base/deployment.yaml", "    metadata:\n      labels:\n        app.kubernetes.io/name: bank", "    metadata:\n      labels:\n        app.kubernetes.io/name: bnak", "Deployment bank selects"},
		{"a Service that selects nothing", "base/service.yaml", "  selector:\n    app.kubernetes.io/name: bank", "  selector:\n    app.kubernetes.io/name: demo", "Service bank selects no pods"},
		{"a budget that selects nothing", "base/poddisruptionbudget.yaml", "app.kubernetes.io/name: bank", "app.kubernetes.io/name: demo", "PodDisruptionBudget bank selects no pods"},
		{"a policy that selects nothing", "redis/networkpolicy.yaml", "      app.kubernetes.io/name: redis", "      app.kubernetes.io/name: valkey", "NetworkPolicy redis selects no pods"},
		{"replicas on one node", "base/deployment.yaml", "- topologyKey: kubernetes.io/hostname\n        maxSkew: 1\n        whenUnsatisfiable: ScheduleAnyway\n        labelSelector:\n          matchLabels:\n            app.kubernetes.io/name: bank", "", "all 2 replicas may be on one node"},
		{"a target port that is not there", "base/service.yaml", "targetPort: http", "targetPort: web", "Service bank: no container has port web"},
		{"a probe's port that is not there", "base/deployment.yaml", "path: /readyz\n            port: http", "path: /readyz\n            port: https", "asks port https"},
		{"a policy's port that is not there", "redis/networkpolicy.yaml", "port: redis", "port: sentinel", "NetworkPolicy redis: no container has port sentinel"},
		{"no readiness probe", "redis/statefulset.yaml", "        readinessProbe:\n          exec:\n            command: [\"redis-cli\", \"-e\", \"--user\", \"health\", \"--pass\", \"none\", \"--no-auth-warning\", \"ping\"]\n          periodSeconds: 5\n          timeoutSeconds: 3\n", "", "container redis lacks a probe"},
		{"a route that the service does not have", "base/deployment.yaml", "path: /livez", "path: /healthz", "/livez do not agree"},
		{"a readiness probe that is too fast", "base/deployment.yaml", "timeoutSeconds: 3", "timeoutSeconds: 1", "waits 1 s"},
		{"a port that the service does not listen on", "base/deployment.yaml", `":8080"`, `":8081"`, `listens on "8081"`},
		{"no API keys", "base/deployment.yaml", `, "-keys", "/etc/bank/keys"`, "", "the API keys"},
		{"API keys that are mounted elsewhere", "base/deployment.yaml", "mountPath: /etc/bank", "mountPath: /keys", "the API keys"},
		{"API keys of another Secret", "base/deployment.yaml", "secretName: bank", "secretName: redis", "the API keys"},
		{"a host that is not the Service's", "base/deployment.yaml", `"-host", "bank"`, `"-host", "shop"`, "-host is not"},
		{"another subcommand", "base/deployment.yaml", `args: ["serve"`, `args: ["server"`, "does not run the demo's service"},
		{"an app port", "base/deployment.yaml", "dapr.io/enabled: \"true\"", "dapr.io/enabled: \"true\"\n        dapr.io/app-port: \"8080\"", "reach the service through its sidecar"},
		{"an app port of the plain sidecar", "plain-sidecar/sidecar.yaml", "--app-id=bank", "--app-id=bank\n        - --app-port=8080", "reach the service through its sidecar"},
		{"other services that may call", "base/configuration.yaml", "defaultAction: deny", "defaultAction: allow", "does not deny calls"},
		{"a sidecar that asks for no token", "base/deployment.yaml", "        dapr.io/api-token-secret: bank-dapr # the sidecar asks for its key \"token\"\n", "", "base: the sidecar requires no token"},
		{"a service with another token", "base/deployment.yaml", "name: bank-dapr\n              key: token", "name: bank\n              key: token", "the sidecar requires the token"},
		{"a plain sidecar that asks for no token", "plain-sidecar/sidecar.yaml", "- name: DAPR_API_TOKEN", "- name: DAPR_TOKEN", "plain-sidecar: the sidecar requires no token"},
		{"a plain sidecar that looks for its address", "plain-sidecar/sidecar.yaml", "- name: DAPR_HOST_IP", "- name: HOST_IP", "DAPR_HOST_IP"},
		{"the state API over HTTP", "base/configuration.yaml", "name: metadata", "name: state", "allows v1.0/state over HTTP"},
		{"the whole HTTP API", "plain-sidecar/configuration.yaml", "    allowed:\n    - name: healthz\n      version: v1.0\n      protocol: http\n    - name: metadata\n      version: v1.0\n      protocol: http", "    allowed:\n    - name: state\n      version: v1.0\n      protocol: grpc", "plain-sidecar: Configuration bank allows all"},
		{"the whole HTTP API, by no rules", "base/configuration.yaml", "allowed:", "denied:", "base: Configuration bank allows all"},
		{"no policy for what goes out", "base/networkpolicy.yaml", "policyTypes: [\"Ingress\", \"Egress\"]", "policyTypes: [\"Ingress\"]", "limits the Egress of Deployment bank"},
		{"no policy for what comes in", "redis/networkpolicy.yaml", "policyTypes: [\"Ingress\", \"Egress\"]", "policyTypes: [\"Egress\"]", "limits the Ingress of StatefulSet redis"},
		{"a policy that keeps the bank from Redis", "base/networkpolicy.yaml", "port: 6379", "port: 6380", "lets the bank reach Redis"},
		{"a policy that keeps the bank from names", "base/networkpolicy.yaml", "kube-system", "default", "can't look up names"},
		{"a policy that lets the bank reach everything", "base/networkpolicy-dapr.yaml", "  - to:\n    - namespaceSelector:\n        matchLabels:\n          kubernetes.io/metadata.name: dapr-system\n", "  - {}\n", "reach everything"},
		{"a policy that keeps the sidecar from its control plane", "base/networkpolicy-dapr.yaml", "name: dapr-system", "name: dapr", "reach Dapr's control plane is false"},
		{"a plain sidecar that reaches a control plane", "plain-sidecar/kustomization.yaml", "- patch: |\n    apiVersion: networking.k8s.io/v1\n    kind: NetworkPolicy\n    metadata:\n      name: bank-dapr\n    $patch: delete\n", "", "reach Dapr's control plane is true"},
		{"an image that a registry may serve", "base/deployment.yaml", "image: localhost/eventstores-go/demo", "image: eventstores-go/demo:dev", "a registry may have"},
		{"an image that is always asked for", "base/deployment.yaml", "imagePullPolicy: IfNotPresent", "imagePullPolicy: Always", "imagePullPolicy"},
		{"an annotation that Dapr does not know", "base/deployment.yaml", "dapr.io/log-as-json", "dapr.io/logs-as-json", "no annotation dapr.io/logs-as-json"},
		{"an annotation with a value that Dapr can't read", "base/deployment.yaml", `dapr.io/enabled: "true"`, `dapr.io/enabled: "on!"`, "annotation dapr.io/enabled"},
		{"no sidecar", "base/deployment.yaml", `dapr.io/enabled: "true"`, `dapr.io/enabled: "false"`, "Dapr injects no sidecar"},
		{"an app id that Dapr does not take", "base/deployment.yaml", "dapr.io/app-id: bank", "dapr.io/app-id: the.bank", "the.bank"},
		{"a sidecar that goes before the service", "base/deployment.yaml", `dapr.io/enable-native-sidecar: "true"`, `dapr.io/enable-native-sidecar: "false"`, "ends together with the service"},
		{"a sidecar without a limit", "base/deployment.yaml", "        dapr.io/sidecar-memory-limit: 256Mi\n", "", "container daprd needs requests"},
		{"a Configuration of another name", "base/configuration.yaml", "name: bank", "name: tracing", "names the Configuration"},
		{"a container without a limit", "redis/statefulset.yaml", "          limits:\n            memory: 1Gi\n", "", "container redis needs requests"},
		{"a limit below the request", "redis/statefulset.yaml", "            memory: 1Gi\n", "            memory: 1Mi\n", "more memory than its limit"},
		{"root", "base/deployment.yaml", "runAsNonRoot: true\n        runAsUser: 65532", "runAsUser: 0", "runAsNonRoot"},
		{"capabilities", "base/deployment.yaml", `drop: ["ALL"]`, `drop: ["NET_RAW"]`, "unrestricted capabilities"},
		{"a container that may write to its image", "redis/statefulset.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "may write to its image"},
		{"no seccomp profile", "redis/statefulset.yaml", "        seccompProfile:\n          type: RuntimeDefault\n", "", "seccompProfile"},
		{"an account that is not there", "base/serviceaccount.yaml", "name: bank", "name: demo", "runs as ServiceAccount bank"},
		{"a token of the cluster", "redis/statefulset.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "gets a token"},
		{"a budget that lets no drain through", "base/poddisruptionbudget.yaml", "maxUnavailable: 1", "maxUnavailable: 0", "does not say maxUnavailable: 1"},
		{"one replica", "base/deployment.yaml", "replicas: 2", "replicas: 1", "a drain leaves none"},
		{"too little time to end", "base/deployment.yaml", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 5", "must be at least 25"},
		{"an end without a pause", "base/deployment.yaml", "        lifecycle:\n          preStop:\n            sleep:\n              seconds: 5\n", "", "still sent to it"},
		{"an image of no version", "plain-sidecar/sidecar.yaml", "daprio/daprd:1.18.0", "daprio/daprd", "has no version"},
		{"a component of another name", "base/statestore.yaml", "name: statestore", "name: state-store", "Component statestore is missing"},
		{"a component of another kind", "base/lockstore.yaml", "type: lock.redis", "type: state.redis", "does not ask for"},
		{"a component for all", "base/statestore.yaml", "- bank\n", "- bank\n- audit\n", "not only the app id"},
		{"keys that the lock does not share", "base/lockstore.yaml", "- name: keyPrefix\n    value: name", "- name: keyPrefix\n    value: appid", `keyPrefix is "appid"`},
		{"history that expires", "base/statestore.yaml", "  - name: keyPrefix", "  - name: ttlInSeconds\n    value: \"60\"\n  - name: keyPrefix", "must not expire"},
		{"another Redis", "base/statestore.yaml", "redis:6379", "redis:6380", "no Service of redis"},
		{"a password in the open", "plain-sidecar/statestore.yaml", "envRef: REDIS_PASSWORD", "value: secret", "the password is in the file"},
		{"a secret store that the operator does not resolve", "base/statestore.yaml", "secretStore: kubernetes", "secretStore: vault", "from a Secret of the cluster"},
		{"a variable that the sidecar does not have", "plain-sidecar/lockstore.yaml", "envRef: REDIS_PASSWORD", "envRef: REDIS_PASS", `does not have "REDIS_PASS"`},
		{"another Secret", "base/statestore.yaml", "name: redis\n      key: password", "name: redis-auth\n      key: password", "not one place"},
		{"another key of the Secret", "base/lockstore.yaml", "key: password", "key: pass", "not one place"},
		{"a plain sidecar for the network", "plain-sidecar/sidecar.yaml", "--dapr-listen-addresses=127.0.0.1", "--dapr-listen-addresses=0.0.0.0", "only for the pod"},
		{"a plain sidecar at another port", "plain-sidecar/sidecar.yaml", "--dapr-grpc-port=50001", "--dapr-grpc-port=50002", "looks for its sidecar"},
		{"a plain sidecar whose health is elsewhere", "plain-sidecar/sidecar.yaml", "--dapr-public-port=3501", "--dapr-public-port=3502", "is not the port dapr-health"},
		{"a plain sidecar of another app", "plain-sidecar/sidecar.yaml", "--app-id=bank", "--app-id=demo", "is not the one in base"},
		{"a plain sidecar that looks for an operator", "plain-sidecar/sidecar.yaml", "--mode=standalone", "--mode=kubernetes", "must be standalone"},
		{"a plain sidecar that ends at once", "plain-sidecar/sidecar.yaml", "        restartPolicy: Always\n", "", "restartPolicy: Always"},
		{"annotations beside a plain sidecar", "plain-sidecar/kustomization.yaml", "path: /spec/template/metadata/annotations", "path: /spec/template/metadata/annotations/dapr.io~1config", "inject another sidecar"},
		{"components that are mounted elsewhere", "plain-sidecar/sidecar.yaml", "mountPath: /dapr", "mountPath: /etc/dapr", "is missing"},
		{"a file that the ConfigMap does not have", "plain-sidecar/kustomization.yaml", "  - lockstore.yaml\n", "", "which does not have it"},
		{"a volume that is not there", "redis/statefulset.yaml", "      name: data\n    spec:", "      name: store\n    spec:", "mounts volume data"},
		{"a Redis that forgets", "redis/statefulset.yaml", `- "yes"`, `- "no"`, "appendonly"},
		{"a Redis that syncs every second", "redis/statefulset.yaml", "- always", "- everysec", "appendfsync"},
		{"a Redis that evicts", "redis/statefulset.yaml", "- noeviction", "- allkeys-lru", "maxmemory-policy"},
		{"a Redis that writes beside its volume", "redis/statefulset.yaml", "- /data\n", "- /tmp\n", "not on a persistent volume"},
		{"two Redis", "redis/statefulset.yaml", "replicas: 1", "replicas: 2", "separate stores"},
		{"a Redis without a password", "redis/statefulset.yaml", "        - /etc/redis/redis.conf ", "        - /etc/redis/other.conf ", "requires no password"},
		{"a Redis with its password among the arguments", "redis/statefulset.yaml", "        - --user ", "        - --requirepass\n        - secret\n        - --user ", "from a file"},
		{"a Redis with the file of another Secret", "redis/statefulset.yaml", "secretName: redis", "secretName: other", "requires no password"},
		{"another subcommand of the receiver", "base/notify-deployment.yaml", `args: ["notify"`, `args: ["serve"`, "notify: base: [serve"},
		{"a receiver with the host of the bank", "base/notify-deployment.yaml", `"-host", "notify"`, `"-host", "bank"`, "notify: base: -host is not"},
		{"a broker for the bank alone", "base/pubsub.yaml", "- notify\n", "", "not only the app ids"},
		{"a receiver that uses the bank's store", "base/noticestore.yaml", "- notify\n", "- bank\n", "not only the app ids"},
		{"a receiver whose messages are lost", "base/resiliency.yaml", "inbound:", "outbound:", "no Resiliency retries"},
		{"a plain receiver whose messages are lost", "plain-sidecar/resiliency.yaml", "- notify\n", "- bank\n", "no Resiliency retries"},
		{"a file that the plain receiver does not have", "plain-sidecar/notify-sidecar.yaml", "          - key: noticestore.yaml\n            path: components/noticestore.yaml\n", "", "noticestore.yaml is missing"},
		{"a policy that keeps the receiver from Redis", "base/notify-networkpolicy.yaml", "app.kubernetes.io/name: redis", "app.kubernetes.io/name: valkey", "lets the notify reach Redis"},
		{"a policy that lets others reach Redis", "redis/networkpolicy.yaml", "app.kubernetes.io/name: notify", "app.kubernetes.io/name: shop", "keeps the notify out"},
		{"a receiver without a budget", "base/kustomization.yaml", "- notify-poddisruptionbudget.yaml\n", "", "Deployment notify has no PodDisruptionBudget"},
		{"a policy that keeps the bank out", "redis/networkpolicy.yaml", "app.kubernetes.io/name: bank", "app.kubernetes.io/name: demo", "keeps the bank out"},
	} {
		t.Run(mistake.name, func(t *testing.T) {
			t.Parallel()
			files := manifests(t)
			content, err := files.ReadFile("/" + mistake.file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(string(content), mistake.old) == 0 {
				t.Fatalf("%s does not say %q", mistake.file, mistake.old)
			}
			if err := files.WriteFile("/"+mistake.file, []byte(strings.Replace(string(content), mistake.old, mistake.with, 1))); err != nil {
				t.Fatal(err)
			}
			if err := check(files, s); err == nil || !strings.Contains(err.Error(), mistake.says) {
				t.Errorf("found: %v\nwant: %s", err, mistake.says)
			}
		})
	}
}

// TestASidecarTakesTheArgumentsOfThePlainOne lets a real sidecar read the arguments. A sidecar ends
// at a flag that it does not know.
func TestASidecarTakesTheArgumentsOfThePlainOne(t *testing.T) {
	t.Parallel()
	daprd, err := filepath.Abs(filepath.Join(root, "bin", "daprd"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(daprd); err != nil {
		t.Fatal("bin/daprd is missing: run `make daprd`, which builds it from source")
	}
	b, err := build(manifests(t), "/plain-sidecar")
	if err != nil {
		t.Fatal(err)
	}
	c, ok := findContainer(b.deployments[0].Spec.Template.Spec, "daprd")
	if !ok {
		t.Fatal("container daprd is missing")
	}
	if out, err := exec.CommandContext(t.Context(), daprd, append(slices.Clone(c.Args), "--version")...).CombinedOutput(); err != nil {
		t.Errorf("daprd %v: %v\n%s", c.Args, err, out)
	}
	if err := exec.CommandContext(t.Context(), daprd, append(slices.Clone(c.Args), "--no-such-flag", "--version")...).Run(); err == nil {
		t.Error("the sidecar accepts unknown flags, so this test would find nothing")
	}
}
