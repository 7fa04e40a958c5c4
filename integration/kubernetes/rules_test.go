package kubernetes

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	configurations "github.com/dapr/dapr/pkg/apis/configuration/v1alpha1"
	resiliencies "github.com/dapr/dapr/pkg/apis/resiliency/v1alpha1"
	"github.com/dapr/dapr/pkg/injector/patcher"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	security "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// set is everything that is checked together.
type set struct {
	base, plain, redis bundle
	service            service
}

// check builds the three kustomizations and returns what is wrong with them.
func check(files filesys.FileSystem, s service) error {
	all := set{service: s}
	for folder, b := range map[string]*bundle{"/base": &all.base, "/plain-sidecar": &all.plain, "/redis": &all.redis} {
		var err error
		if *b, err = build(files, folder); err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
	}
	var found []error
	for name, b := range map[string]bundle{"base": all.base, "plain-sidecar": all.plain, "redis": all.redis} {
		for _, rule := range []func(bundle) []error{selectors, ports, volumes, resources, restricted, accounts, drains, images} {
			for _, err := range rule(b) {
				found = append(found, fmt.Errorf("%s: %w", name, err))
			}
		}
	}
	for _, rule := range []func(set) []error{each(fitsTheService), each(injects), each(plainSidecar), httpAPI, guarded, each(ours), daprResources, redisIsSafe, secretsAgree} {
		found = append(found, rule(all)...)
	}
	return errors.Join(found...)
}

// matches reports whether a selector matches the labels. An empty selector matches nothing.
func matches(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return len(selector) > 0
}

// selectors checks that selectors match the pods that they are for.
func selectors(b bundle) (found []error) {
	selected := func(what string, selector map[string]string) {
		for _, w := range b.workloads() {
			if matches(selector, w.pod.Labels) {
				return
			}
		}
		found = append(found, fmt.Errorf("%s selects no pods: %v", what, selector))
	}
	for _, w := range b.workloads() {
		if !matches(w.selector, w.pod.Labels) {
			found = append(found, fmt.Errorf("%s selects %v, its pods have %v", w.name, w.selector, w.pod.Labels))
		}
		for _, spread := range w.pod.Spec.TopologySpreadConstraints {
			selected(w.name+": topologySpreadConstraints", spread.LabelSelector.MatchLabels)
		}
		if w.replicas > 1 && len(w.pod.Spec.TopologySpreadConstraints) == 0 {
			found = append(found, fmt.Errorf("%s: all %d replicas may be on one node", w.name, w.replicas))
		}
	}
	for _, s := range b.services {
		selected("Service "+s.Name, s.Spec.Selector)
	}
	for _, p := range b.budgets {
		selected("PodDisruptionBudget "+p.Name, p.Spec.Selector.MatchLabels)
	}
	for _, p := range b.policies {
		selected("NetworkPolicy "+p.Name, p.Spec.PodSelector.MatchLabels)
	}
	return found
}

// hasPort reports whether a container has a port of that name or number.
func hasPort(c core.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(c.Ports, func(p core.ContainerPort) bool {
		return port.Type == intstr.String && p.Name == port.StrVal || port.Type == intstr.Int && p.ContainerPort == port.IntVal
	})
}

// probed returns the ports of a container's probes.
func probed(c core.Container) (ports []intstr.IntOrString) {
	for _, probe := range []*core.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		switch {
		case probe == nil:
		case probe.HTTPGet != nil:
			ports = append(ports, probe.HTTPGet.Port)
		case probe.TCPSocket != nil:
			ports = append(ports, probe.TCPSocket.Port)
		}
	}
	return ports
}

// ports checks that ports exist where they are named, and that every long-running container has its
// probes.
func ports(b bundle) (found []error) {
	for _, w := range b.workloads() {
		for _, c := range containers(w.pod.Spec) {
			for _, port := range probed(c) {
				if !hasPort(c, port) {
					found = append(found, fmt.Errorf("%s: a probe of container %s asks port %s, which the container does not have", w.name, c.Name, port.String()))
				}
			}
			if c.LivenessProbe == nil || c.ReadinessProbe == nil && c.StartupProbe == nil {
				found = append(found, fmt.Errorf("%s: container %s lacks a probe", w.name, c.Name))
			}
		}
	}
	anyPort := func(selector map[string]string, port intstr.IntOrString) bool {
		return slices.ContainsFunc(b.workloads(), func(w workload) bool {
			return matches(selector, w.pod.Labels) && slices.ContainsFunc(containers(w.pod.Spec), func(c core.Container) bool { return hasPort(c, port) })
		})
	}
	for _, s := range b.services {
		for _, port := range s.Spec.Ports {
			if !anyPort(s.Spec.Selector, port.TargetPort) {
				found = append(found, fmt.Errorf("Service %s: no container has port %s", s.Name, port.TargetPort.String()))
			}
		}
	}
	for _, p := range b.policies {
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				if !anyPort(p.Spec.PodSelector.MatchLabels, *port.Port) {
					found = append(found, fmt.Errorf("NetworkPolicy %s: no container has port %s", p.Name, port.Port.String()))
				}
			}
		}
	}
	return found
}

// volumes checks that mounted volumes exist, and that they contain the files that are taken from
// them.
func volumes(b bundle) (found []error) {
	for _, w := range b.workloads() {
		there := map[string]bool{}
		for _, claim := range w.claims {
			there[claim.Name] = true
		}
		for _, v := range w.pod.Spec.Volumes {
			there[v.Name] = true
			if v.ConfigMap == nil {
				continue
			}
			i := slices.IndexFunc(b.configMaps, func(c core.ConfigMap) bool { return c.Name == v.ConfigMap.Name })
			if i < 0 {
				found = append(found, fmt.Errorf("%s: volume %s uses ConfigMap %s, which is missing", w.name, v.Name, v.ConfigMap.Name))
				continue
			}
			for _, item := range v.ConfigMap.Items {
				if _, ok := b.configMaps[i].Data[item.Key]; !ok {
					found = append(found, fmt.Errorf("%s: volume %s takes %s from ConfigMap %s, which does not have it", w.name, v.Name, item.Key, v.ConfigMap.Name))
				}
			}
		}
		for _, c := range containers(w.pod.Spec) {
			for _, mount := range c.VolumeMounts {
				if !there[mount.Name] {
					found = append(found, fmt.Errorf("%s: container %s mounts volume %s, which is missing", w.name, c.Name, mount.Name))
				}
			}
		}
	}
	return found
}

// resources checks that containers request resources and that their memory is limited.
func resources(b bundle) (found []error) {
	for _, w := range b.workloads() {
		found = append(found, resourcesOf(w.name, w.pod.Spec)...)
	}
	return found
}

func resourcesOf(name string, pod core.PodSpec) (found []error) {
	for _, c := range containers(pod) {
		r := c.Resources
		if r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().IsZero() {
			found = append(found, fmt.Errorf("%s: container %s needs requests of cpu and memory, and a limit of memory", name, c.Name))
		}
		if r.Limits.Memory().Cmp(*r.Requests.Memory()) < 0 {
			found = append(found, fmt.Errorf("%s: container %s asks for more memory than its limit", name, c.Name))
		}
	}
	return found
}

// restricted checks that a namespace with pod-security.kubernetes.io/enforce=restricted admits the
// pods.
func restricted(b bundle) (found []error) {
	for _, w := range b.workloads() {
		found = append(found, admitted(w.name, w.pod.ObjectMeta, w.pod.Spec)...)
	}
	return found
}

func admitted(name string, metadata meta.ObjectMeta, pod core.PodSpec) (found []error) {
	evaluator, err := security.NewEvaluator(security.DefaultChecks())
	if err != nil {
		return []error{err}
	}
	for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &metadata, &pod) {
		if !result.Allowed {
			found = append(found, fmt.Errorf("%s is not restricted: %s (%s)", name, result.ForbiddenReason, result.ForbiddenDetail))
		}
	}
	for _, c := range containers(pod) {
		if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			found = append(found, fmt.Errorf("%s: container %s may write to its image", name, c.Name))
		}
	}
	return found
}

// accounts checks that service accounts exist, and that pods which need no token get none.
func accounts(b bundle) (found []error) {
	for _, w := range b.workloads() {
		if token := w.pod.Spec.AutomountServiceAccountToken; token == nil || *token {
			found = append(found, fmt.Errorf("%s gets a token of the cluster", w.name))
		}
		name := w.pod.Spec.ServiceAccountName
		if name != "" && !slices.ContainsFunc(b.accounts, func(a core.ServiceAccount) bool { return a.Name == name }) {
			found = append(found, fmt.Errorf("%s runs as ServiceAccount %s, which is missing", w.name, name))
		}
	}
	return found
}

// drains checks that a node can be drained, and that a drain stops one replica at a time.
func drains(b bundle) (found []error) {
	for _, p := range b.budgets {
		most := p.Spec.MaxUnavailable
		if most == nil || most.Type != intstr.Int || most.IntVal != 1 || p.Spec.MinAvailable != nil {
			found = append(found, fmt.Errorf("PodDisruptionBudget %s does not say maxUnavailable: 1", p.Name))
		}
	}
	for _, d := range b.deployments {
		if !slices.ContainsFunc(b.budgets, func(p policy.PodDisruptionBudget) bool {
			return matches(p.Spec.Selector.MatchLabels, d.Spec.Template.Labels)
		}) {
			found = append(found, fmt.Errorf("Deployment %s has no PodDisruptionBudget", d.Name))
		}
		if *d.Spec.Replicas < 2 {
			found = append(found, fmt.Errorf("Deployment %s has %d replicas: a drain leaves none", d.Name, *d.Spec.Replicas))
		}
		if grace := d.Spec.Template.Spec.TerminationGracePeriodSeconds; grace == nil || *grace < 25 {
			found = append(found, fmt.Errorf("Deployment %s: terminationGracePeriodSeconds must be at least 25: 5 before the service ends, 10 for the service and 5 for the sidecar", d.Name))
		}
		for _, c := range d.Spec.Template.Spec.Containers {
			if l := c.Lifecycle; l == nil || l.PreStop == nil || l.PreStop.Sleep == nil || l.PreStop.Sleep.Seconds < 5 {
				found = append(found, fmt.Errorf("Deployment %s: container %s ends while requests are still sent to it: add a preStop sleep of 5 seconds", d.Name, c.Name))
			}
		}
	}
	return found
}

// images checks that images have a version other than latest.
func images(b bundle) (found []error) {
	for _, w := range b.workloads() {
		for _, c := range containers(w.pod.Spec) {
			if _, tag, ok := strings.Cut(c.Image, ":"); !ok || tag == "latest" {
				found = append(found, fmt.Errorf("%s: image %s of container %s has no version", w.name, c.Image, c.Name))
			}
		}
	}
	return found
}

// commands lists the services by their names, which are also those of their Deployments, Services
// and app ids, with the subcommand of the demo that they run.
var commands = map[string]string{"bank": "serve", "notify": "notify"}

// podOf returns the pod of an app's Deployment, and its container with the service.
func podOf(b bundle, app string) (core.PodTemplateSpec, core.Container, error) {
	i := slices.IndexFunc(b.deployments, func(d apps.Deployment) bool { return d.Name == app })
	if i < 0 {
		return core.PodTemplateSpec{}, core.Container{}, fmt.Errorf("Deployment %s is missing", app)
	}
	pod := b.deployments[i].Spec.Template
	for _, c := range pod.Spec.Containers {
		if c.Name == "demo" {
			return pod, c, nil
		}
	}
	return pod, core.Container{}, fmt.Errorf("%s: container demo is missing", app)
}

// each calls a rule for each app.
func each(rule func(s set, app string) []error) func(set) []error {
	return func(s set) (found []error) {
		for app := range commands {
			for _, err := range rule(s, app) {
				found = append(found, fmt.Errorf("%s: %w", app, err))
			}
		}
		return found
	}
}

// argument returns the value of a flag, written as -flag value, --flag value or --flag=value.
func argument(arguments []string, flag string) string {
	for i, a := range arguments {
		name, value, ok := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch {
		case !strings.HasPrefix(a, "-") || name != flag:
		case ok:
			return value
		case i+1 < len(arguments):
			return arguments[i+1]
		}
	}
	return ""
}

// fitsTheService checks the port, the routes of the probes and the names.
func fitsTheService(s set, app string) (found []error) {
	for name, b := range map[string]bundle{"base": s.base, "plain-sidecar": s.plain} {
		pod, c, err := podOf(b, app)
		if err != nil {
			found = append(found, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if len(c.Args) == 0 || c.Args[0] != commands[app] || !s.service.literals["addr"] {
			found = append(found, fmt.Errorf("%s: %v does not run the demo's service", name, c.Args))
		}
		_, port, err := net.SplitHostPort(argument(c.Args, "addr"))
		if err != nil || len(c.Ports) != 1 || strconv.Itoa(int(c.Ports[0].ContainerPort)) != port {
			found = append(found, fmt.Errorf("%s: the service listens on %q, but its container has the ports %v", name, port, c.Ports))
		}
		found = append(found, asksForKeys(name, app, pod.Spec, c, s.service)...)
		for what, probe := range map[string]*core.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != what || !s.service.routes(what) {
				found = append(found, fmt.Errorf("%s: the probe and the route of %s do not agree", name, what))
			}
		}
		if c.ReadinessProbe != nil && c.ReadinessProbe.TimeoutSeconds < 3 {
			found = append(found, fmt.Errorf("%s: the readiness probe waits %d s, but the service may need 2 s to answer", name, c.ReadinessProbe.TimeoutSeconds))
		}
	}
	return found
}

// annotationTypes returns the annotations that Dapr's injector knows, and the types of their
// values.
func annotationTypes() map[string]reflect.Type {
	known := map[string]reflect.Type{}
	config := reflect.TypeFor[patcher.SidecarConfig]()
	for i := range config.NumField() {
		if name := config.Field(i).Tag.Get("annotation"); name != "" {
			kind := config.Field(i).Type
			if kind.Kind() == reflect.Pointer {
				kind = kind.Elem()
			}
			known[name] = kind
		}
	}
	return known
}

// injects runs Dapr's own injector on the Deployment in base, and checks the sidecar in the result.
func injects(s set, app string) (found []error) {
	template, _, err := podOf(s.base, app)
	if err != nil {
		return []error{err}
	}
	known := annotationTypes()
	for name, value := range template.Annotations {
		kind, ok := known[name]
		switch {
		case strings.HasPrefix(name, "dapr.io/") && !ok:
			found = append(found, fmt.Errorf("base: Dapr knows no annotation %s", name))
		case ok && kind.Kind() == reflect.Bool:
			_, err = strconv.ParseBool(value)
		case ok && kind.Kind() == reflect.Int32:
			_, err = strconv.Atoi(value)
		}
		if err != nil {
			found = append(found, fmt.Errorf("base: annotation %s: %w", name, err))
		}
	}
	if port, ok := template.Annotations["dapr.io/app-port"]; ok {
		found = append(found, fmt.Errorf("base: dapr.io/app-port is %q: other services could reach the service through its sidecar", port))
	}
	config := template.Annotations["dapr.io/config"]
	if !slices.ContainsFunc(s.base.configurations, func(c configurations.Configuration) bool { return c.Name == config }) {
		found = append(found, fmt.Errorf("base: dapr.io/config names the Configuration %q, which is missing", config))
	}

	sidecar := patcher.NewSidecarConfig(&core.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec})
	// Dapr's Helm chart sets these.
	sidecar.RunAsNonRoot, sidecar.ReadOnlyRootFilesystem, sidecar.SidecarDropALLCapabilities = true, true, true
	sidecar.SidecarImage = "daprio/daprd:1.18.0"
	sidecar.SetFromPodAnnotations()
	patch, err := sidecar.GetPatch()
	if err != nil {
		return append(found, fmt.Errorf("base: %w", err))
	}
	pod, err := patcher.PatchPod(&core.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}, patch)
	if err != nil {
		return append(found, fmt.Errorf("base: %w", err))
	}
	daprd, ok := findContainer(pod.Spec, "daprd")
	if !ok {
		return append(found, errors.New("base: Dapr injects no sidecar"))
	}
	found = append(found, resourcesOf("base: with its sidecar the pod", pod.Spec)...)
	found = append(found, admitted("base: with its sidecar the pod", pod.ObjectMeta, pod.Spec)...)
	if daprd.RestartPolicy == nil {
		found = append(found, errors.New("base: the sidecar ends together with the service, not after it"))
	}
	service, _ := findContainer(pod.Spec, "demo")
	if port := environment(service, "DAPR_GRPC_PORT"); port == "" || port != argument(daprd.Args, "dapr-grpc-port") {
		found = append(found, fmt.Errorf("base: the service looks for its sidecar at port %q", port))
	}
	if address := argument(daprd.Args, "dapr-listen-addresses"); !slices.Contains(strings.Split(address, ","), "127.0.0.1") || strings.Contains(address, "0.0.0.0") {
		found = append(found, fmt.Errorf("base: the sidecar listens on %q, but its API is only for the pod", address))
	}
	for _, c := range s.base.configurations {
		if c.Spec.AccessControlSpec == nil || c.Spec.AccessControlSpec.DefaultAction != "deny" {
			found = append(found, fmt.Errorf("base: Configuration %s does not deny calls of other services", c.Name))
		}
	}
	return append(found, sameToken("base", daprd, service)...)
}

// sameToken checks that the sidecar requires the token that the service has.
func sameToken(name string, daprd, service core.Container) (found []error) {
	asked, has := secretOf(daprd, "DAPR_API_TOKEN"), secretOf(service, "DAPR_API_TOKEN")
	if asked == "" {
		found = append(found, fmt.Errorf("%s: the sidecar requires no token", name))
	}
	if asked != has {
		found = append(found, fmt.Errorf("%s: the sidecar requires the token %q, but the service has %q", name, asked, has))
	}
	return found
}

// secretOf returns the Secret and the key from which a container takes a variable, or "" if it
// takes none.
func secretOf(c core.Container, variable string) string {
	for _, v := range c.Env {
		if v.Name == variable && v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
			return v.ValueFrom.SecretKeyRef.Name + "/" + v.ValueFrom.SecretKeyRef.Key
		}
	}
	return ""
}

// httpAPI checks that of the sidecar's HTTP API only health and metadata answer. A web page can
// send a POST to any port that its reader's browser reaches.
func httpAPI(s set) (found []error) {
	all := map[string][]configurations.Configuration{"base": s.base.configurations}
	files, err := sidecarFiles(s.plain)
	if err != nil {
		return []error{err}
	}
	all["plain-sidecar"] = files.configurations
	for name, list := range all {
		if len(list) == 0 {
			found = append(found, fmt.Errorf("%s: the Configuration is missing", name))
		}
		for _, c := range list {
			harmless := []string{"v1.0/healthz", "v1.0/metadata"}
			http := 0
			if api := c.Spec.APISpec; api != nil {
				for _, rule := range api.Allowed {
					if !strings.EqualFold(rule.Protocol, "http") {
						continue
					}
					http++
					if api := rule.Version + "/" + rule.Name; !slices.Contains(harmless, api) {
						found = append(found, fmt.Errorf("%s: Configuration %s allows %s over HTTP", name, c.Name, api))
					}
				}
			}
			if http == 0 {
				found = append(found, fmt.Errorf("%s: Configuration %s allows all of the HTTP API", name, c.Name))
			}
		}
	}
	return found
}

// guarded checks that policies limit what every pod receives and sends, and that it reaches what it
// needs.
func guarded(s set) (found []error) {
	for name, b := range map[string]bundle{"base": s.base, "plain-sidecar": s.plain, "redis": s.redis} {
		for _, w := range b.workloads() {
			for _, direction := range []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress} {
				if !slices.ContainsFunc(b.policies, func(p networking.NetworkPolicy) bool {
					return matches(p.Spec.PodSelector.MatchLabels, w.pod.Labels) && slices.Contains(p.Spec.PolicyTypes, direction)
				}) {
					found = append(found, fmt.Errorf("%s: no NetworkPolicy limits the %s of %s", name, direction, w.name))
				}
			}
		}
		for _, p := range b.policies {
			for _, rule := range p.Spec.Egress {
				if len(rule.To) == 0 {
					found = append(found, fmt.Errorf("%s: NetworkPolicy %s lets its pods reach everything", name, p.Name))
				}
			}
		}
	}
	if len(s.redis.statefulSets) == 1 {
		redis := s.redis.statefulSets[0].Spec.Template
		for name, b := range map[string]bundle{"base": s.base, "plain-sidecar": s.plain} {
			for app := range commands {
				if pod, _, err := podOf(b, app); err == nil && !reaches(b, pod, redis) {
					found = append(found, fmt.Errorf("%s: no NetworkPolicy lets the %s reach Redis", name, app))
				}
			}
		}
	}
	for name, b := range map[string]bundle{"base": s.base, "plain-sidecar": s.plain} {
		for app := range commands {
			pod, _, err := podOf(b, app)
			if err != nil {
				continue // fitsTheService reports this
			}
			to := func(namespace string) bool {
				return slices.ContainsFunc(b.policies, func(p networking.NetworkPolicy) bool {
					return matches(p.Spec.PodSelector.MatchLabels, pod.Labels) && toNamespace(p, namespace)
				})
			}
			if dapr := to("dapr-system"); dapr != (name == "base") {
				found = append(found, fmt.Errorf("%s: the pods of %s reach Dapr's control plane is %t, want %t", name, app, dapr, name == "base"))
			}
			if !to("kube-system") {
				found = append(found, fmt.Errorf("%s: the pods of %s can't look up names", name, app))
			}
		}
	}
	return found
}

// reaches reports whether a policy lets one pod of a bundle reach the port of another pod.
func reaches(b bundle, from, pod core.PodTemplateSpec) bool {
	for _, p := range b.policies {
		if !matches(p.Spec.PodSelector.MatchLabels, from.Labels) {
			continue
		}
		for _, rule := range p.Spec.Egress {
			for _, to := range rule.To {
				if to.PodSelector == nil || !matches(to.PodSelector.MatchLabels, pod.Labels) {
					continue
				}
				for _, port := range rule.Ports {
					if slices.ContainsFunc(pod.Spec.Containers, func(c core.Container) bool { return hasPort(c, *port.Port) }) {
						return true
					}
				}
			}
		}
	}
	return false
}

func toNamespace(p networking.NetworkPolicy, namespace string) bool {
	for _, rule := range p.Spec.Egress {
		for _, to := range rule.To {
			if to.NamespaceSelector != nil && to.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] == namespace {
				return true
			}
		}
	}
	return false
}

// ours checks the images that this project builds. Their names must be in no registry, and they
// must be pulled only where they are missing.
func ours(s set, app string) (found []error) {
	for name, b := range map[string]bundle{"base": s.base, "plain-sidecar": s.plain} {
		_, c, err := podOf(b, app)
		if err != nil {
			continue // fitsTheService reports this
		}
		if !strings.HasPrefix(c.Image, "localhost/") {
			found = append(found, fmt.Errorf("%s: a registry may have another image called %s", name, c.Image))
		}
		if c.ImagePullPolicy != core.PullIfNotPresent {
			found = append(found, fmt.Errorf("%s: imagePullPolicy is %q: the cluster would ask a registry for an image that it has", name, c.ImagePullPolicy))
		}
	}
	return found
}

// asksForKeys checks that the service gets its API keys as a file from a Secret, and that its name
// is the name of its Service.
func asksForKeys(name, app string, pod core.PodSpec, c core.Container, s service) (found []error) {
	folder, file := path.Split(argument(c.Args, "keys"))
	mount := slices.IndexFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return m.MountPath == path.Clean(folder) && m.ReadOnly })
	if !s.literals["keys"] || file == "" || mount < 0 || !slices.ContainsFunc(pod.Volumes, func(v core.Volume) bool {
		return v.Name == c.VolumeMounts[mount].Name && v.Secret != nil && v.Secret.SecretName == "bank"
	}) {
		found = append(found, fmt.Errorf("%s: the API keys in %q are not from the Secret bank", name, argument(c.Args, "keys")))
	}
	if !s.literals["host"] || argument(c.Args, "host") != app {
		found = append(found, fmt.Errorf("%s: -host is not the name of the Service", name))
	}
	return found
}

func findContainer(pod core.PodSpec, name string) (core.Container, bool) {
	all := containers(pod)
	i := slices.IndexFunc(all, func(c core.Container) bool { return c.Name == name })
	if i < 0 {
		return core.Container{}, false
	}
	return all[i], true
}

func environment(c core.Container, name string) string {
	for _, variable := range c.Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}

// plainSidecar checks that the manifests of the plain sidecar set everything that the injector
// would set.
func plainSidecar(s set, app string) (found []error) {
	wrong := func(format string, arguments ...any) {
		found = append(found, fmt.Errorf("plain-sidecar: "+format, arguments...))
	}
	template, service, err := podOf(s.plain, app)
	if err != nil {
		return []error{err}
	}
	daprd, ok := findContainer(template.Spec, "daprd")
	if !ok {
		return []error{errors.New("plain-sidecar: container daprd is missing")}
	}
	for name := range template.Annotations {
		if strings.HasPrefix(name, "dapr.io/") {
			wrong("with annotation %s an operator would inject another sidecar", name)
		}
	}
	if len(s.plain.components)+len(s.plain.configurations) > 0 {
		wrong("it has resources of Dapr, which the cluster does not know")
	}
	if !slices.ContainsFunc(template.Spec.InitContainers, func(c core.Container) bool { return c.Name == "daprd" && c.RestartPolicy != nil }) {
		wrong("the sidecar must be an init container with restartPolicy: Always, so that it ends after the service")
	}
	for _, flag := range []string{"dapr-listen-addresses", "dapr-internal-grpc-listen-address"} {
		if address := argument(daprd.Args, flag); address != "127.0.0.1" {
			wrong("--%s is %q, but the API is only for the pod: use 127.0.0.1", flag, address)
		}
	}
	if port := environment(service, "DAPR_GRPC_PORT"); port == "" || port != argument(daprd.Args, "dapr-grpc-port") {
		wrong("the service looks for its sidecar at port %q", port)
	}
	for flag, name := range map[string]string{"dapr-public-port": "dapr-health", "metrics-port": "dapr-metrics"} {
		i := slices.IndexFunc(daprd.Ports, func(p core.ContainerPort) bool { return p.Name == name })
		if i < 0 || strconv.Itoa(int(daprd.Ports[i].ContainerPort)) != argument(daprd.Args, flag) {
			wrong("--%s is not the port %s", flag, name)
		}
	}
	if port := argument(daprd.Args, "app-port"); port != "" {
		wrong("--app-port is %q: other services could reach the service through its sidecar", port)
	}
	if ip := environment(daprd, "DAPR_HOST_IP"); ip != "127.0.0.1" {
		wrong("DAPR_HOST_IP is %q: the sidecar would look for an address that others can reach", ip)
	}
	found = append(found, sameToken("plain-sidecar", daprd, service)...)
	if id := argument(daprd.Args, "app-id"); id != appID(s, app) {
		wrong("the app id %q is not the one in base", id)
	}
	if mode := argument(daprd.Args, "mode"); mode != "standalone" {
		wrong("--mode is %q: without an operator it must be standalone", mode)
	}

	// The sidecar finds every file where it looks for it.
	files := map[string]bool{}
	for _, mount := range daprd.VolumeMounts {
		for _, v := range template.Spec.Volumes {
			if v.Name != mount.Name || v.ConfigMap == nil {
				continue
			}
			for _, item := range v.ConfigMap.Items {
				files[mount.MountPath+"/"+item.Path] = true
			}
		}
	}
	folder, config := argument(daprd.Args, "resources-path"), argument(daprd.Args, "config")
	if !files[config] {
		wrong("--config is %s, but the files are %v", config, slices.Sorted(maps.Keys(files)))
	}
	for name, kind := range componentsOf(s.service) {
		if slices.Contains(kind.apps, app) && !files[folder+"/"+name+".yaml"] {
			wrong("--resources-path is %s, but %s.yaml is missing: the files are %v", folder, name, slices.Sorted(maps.Keys(files)))
		}
	}
	return found
}

// componentKind is a component that the services ask for.
type componentKind struct {
	kind string
	apps []string
}

func componentsOf(s service) map[string]componentKind {
	return map[string]componentKind{
		s.stateComponent:  {"state.redis", []string{"bank"}},
		s.lockComponent:   {"lock.redis", []string{"bank"}},
		s.pubsubComponent: {"pubsub.redis", []string{"bank", "notify"}},
		s.noticeComponent: {"state.redis", []string{"notify"}},
	}
}

// appID returns the app id of an app in base.
func appID(s set, app string) string {
	pod, _, _ := podOf(s.base, app)
	return pod.Annotations["dapr.io/app-id"]
}

// sidecarFiles returns the components, the configuration and the policies in the ConfigMap of the
// plain sidecar.
func sidecarFiles(b bundle) (bundle, error) {
	var files bundle
	for _, c := range b.configMaps {
		for name, content := range c.Data {
			kind := "dapr.io/v1alpha1/Component"
			switch name {
			case "configuration.yaml":
				kind = "dapr.io/v1alpha1/Configuration"
			case "resiliency.yaml":
				kind = "dapr.io/v1alpha1/Resiliency"
			}
			if err := files.add(kind, []byte(content)); err != nil {
				return bundle{}, fmt.Errorf("plain-sidecar: %s: %w", name, err)
			}
		}
	}
	return files, nil
}

// daprResources checks that the components are the ones that the service asks for, and only for its
// app. Both manifests must use the same Redis with the same keys.
func daprResources(s set) (found []error) {
	files, err := sidecarFiles(s.plain)
	if err != nil {
		return []error{err}
	}
	var variables []core.EnvVar
	for _, d := range s.plain.deployments {
		daprd, _ := findContainer(d.Spec.Template.Spec, "daprd")
		variables = append(variables, daprd.Env...)
	}
	for name, b := range map[string]bundle{"base": s.base, "plain-sidecar": files} {
		kinds := componentsOf(s.service)
		for _, c := range b.components {
			wrong := func(format string, arguments ...any) {
				found = append(found, fmt.Errorf("%s: Component %s: %s", name, c.Name, fmt.Sprintf(format, arguments...)))
			}
			kind := kinds[c.Name]
			if kind.kind != c.Spec.Type || c.Spec.Version != "v1" {
				wrong("the service does not ask for a %s/%s of that name", c.Spec.Type, c.Spec.Version)
			}
			delete(kinds, c.Name)
			var ids []string
			for _, app := range kind.apps {
				ids = append(ids, appID(s, app))
			}
			if !slices.Equal(c.Scopes, ids) {
				wrong("the scopes are %v, not only the app ids %q", c.Scopes, ids)
			}
			values := map[string]string{}
			for _, m := range c.Spec.Metadata {
				values[m.Name] = m.Value.String()
				if m.Name != "redisPassword" {
					continue
				}
				if m.HasValue() {
					wrong("the password is in the file")
				}
				switch {
				case name == "base" && (c.SecretStore != "kubernetes" || m.SecretKeyRef.Name == ""):
					wrong("the password is not from a Secret of the cluster")
				case name == "plain-sidecar" && (m.EnvRef == "" || !slices.ContainsFunc(variables, func(e core.EnvVar) bool { return e.Name == m.EnvRef })):
					wrong("the password is from the environment, which does not have %q", m.EnvRef)
				}
			}
			if _, ok := values["redisPassword"]; !ok {
				wrong("there is no password")
			}
			if _, ok := values["ttlInSeconds"]; ok {
				wrong("history must not expire")
			}
			if kind.kind != "pubsub.redis" && values["keyPrefix"] != "name" {
				wrong("keyPrefix is %q, but must be name in both components", values["keyPrefix"])
			}
			if host := values["redisHost"]; !slices.ContainsFunc(s.redis.services, func(r core.Service) bool {
				return host == fmt.Sprintf("%s:%d", r.Name, r.Spec.Ports[0].Port)
			}) {
				wrong("redisHost is %q, which is no Service of redis", host)
			}
		}
		for missing := range kinds {
			found = append(found, fmt.Errorf("%s: Component %s is missing", name, missing))
		}
		// Without it, messages of a receiver that dies are lost: see deploy/run/resiliency.yaml.
		if !slices.ContainsFunc(b.resiliencies, func(r resiliencies.Resiliency) bool {
			return slices.Equal(r.Scopes, []string{appID(s, "notify")}) && r.Spec.Targets.Components[s.service.pubsubComponent].Inbound.Retry != ""
		}) {
			found = append(found, fmt.Errorf("%s: no Resiliency retries what %s delivers to notify", name, s.service.pubsubComponent))
		}
	}
	return found
}

// redisIsSafe checks that Redis keeps what it acknowledged.
func redisIsSafe(s set) (found []error) {
	if len(s.redis.statefulSets) != 1 {
		return []error{errors.New("redis: the StatefulSet is missing")}
	}
	redis := s.redis.statefulSets[0]
	c := redis.Spec.Template.Spec.Containers[0]
	for flag, want := range map[string]string{"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"} {
		if got := argument(c.Args, flag); got != want {
			found = append(found, fmt.Errorf("redis: %s is %q, want %s", flag, got, want))
		}
	}
	if folder := argument(c.Args, "dir"); !slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool {
		return m.MountPath == folder && slices.ContainsFunc(redis.Spec.VolumeClaimTemplates, func(v core.PersistentVolumeClaim) bool { return v.Name == m.Name })
	}) {
		found = append(found, fmt.Errorf("redis: it writes to %q, which is not on a persistent volume", folder))
	}
	if *redis.Spec.Replicas != 1 {
		found = append(found, fmt.Errorf("redis: %d replicas would be separate stores", *redis.Spec.Replicas))
	}
	if !asksForThePassword(redis.Spec.Template.Spec, c) {
		found = append(found, errors.New("redis: it requires no password, or does not read it from a file of the Secret"))
	}
	// Only pods that use its components may reach Redis.
	for _, p := range s.redis.policies {
		for _, rule := range p.Spec.Ingress {
			let := map[string]bool{}
			for _, from := range rule.From {
				known := false
				for app := range commands {
					if template, _, err := podOf(s.base, app); err == nil && from.PodSelector != nil && matches(from.PodSelector.MatchLabels, template.Labels) {
						let[app], known = true, true
					}
				}
				if !known {
					found = append(found, fmt.Errorf("NetworkPolicy %s lets other pods reach Redis", p.Name))
				}
			}
			for app := range commands {
				if !let[app] {
					found = append(found, fmt.Errorf("NetworkPolicy %s keeps the %s out", p.Name, app))
				}
			}
		}
	}
	return found
}

// asksForThePassword reports whether Redis reads the file redis.conf of the Secret as its
// configuration. No argument or variable may hold a password, because other users of the machine
// could see it there.
func asksForThePassword(pod core.PodSpec, c core.Container) bool {
	if argument(c.Args, "requirepass") != "" || slices.ContainsFunc(c.Env, func(v core.EnvVar) bool { return v.ValueFrom != nil }) {
		return false
	}
	if len(c.Args) < 2 {
		return false
	}
	for _, mount := range c.VolumeMounts {
		for _, v := range pod.Volumes {
			if v.Name != mount.Name || v.Secret == nil || v.Secret.SecretName != "redis" {
				continue
			}
			for _, item := range v.Secret.Items {
				if item.Key == "redis.conf" && c.Args[1] == mount.MountPath+"/"+item.Path {
					return true
				}
			}
		}
	}
	return false
}

// secretsAgree checks that all components and containers take the password from one Secret, which
// is not part of the manifests.
func secretsAgree(s set) (found []error) {
	used := map[string]bool{}
	for _, b := range []bundle{s.base, s.plain, s.redis} {
		for _, c := range b.components {
			for _, m := range c.Spec.Metadata {
				if m.SecretKeyRef.Name != "" {
					used[m.SecretKeyRef.Name+"/"+m.SecretKeyRef.Key] = true
				}
			}
		}
		for _, w := range b.workloads() {
			for _, c := range containers(w.pod.Spec) {
				if secret := secretOf(c, "REDIS_PASSWORD"); secret != "" {
					used[secret] = true
				}
			}
		}
	}
	if len(used) != 1 {
		found = append(found, fmt.Errorf("the password is from %v, which is not one place", slices.Sorted(maps.Keys(used))))
	}
	return found
}
