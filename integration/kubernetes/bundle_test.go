package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	components "github.com/dapr/dapr/pkg/apis/components/v1alpha1"
	configurations "github.com/dapr/dapr/pkg/apis/configuration/v1alpha1"
	resiliencies "github.com/dapr/dapr/pkg/apis/resiliency/v1alpha1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// bundle is the result of one kustomization.
type bundle struct {
	accounts       []core.ServiceAccount
	configMaps     []core.ConfigMap
	services       []core.Service
	deployments    []apps.Deployment
	statefulSets   []apps.StatefulSet
	budgets        []policy.PodDisruptionBudget
	policies       []networking.NetworkPolicy
	components     []components.Component
	configurations []configurations.Configuration
	resiliencies   []resiliencies.Resiliency
}

// workload is what a Deployment and a StatefulSet have in common.
type workload struct {
	name     string
	replicas int32
	selector map[string]string
	pod      core.PodTemplateSpec
	claims   []core.PersistentVolumeClaim
}

func (b bundle) workloads() []workload {
	var all []workload
	for _, d := range b.deployments {
		all = append(all, workload{"Deployment " + d.Name, *d.Spec.Replicas, d.Spec.Selector.MatchLabels, d.Spec.Template, nil})
	}
	for _, s := range b.statefulSets {
		all = append(all, workload{"StatefulSet " + s.Name, *s.Spec.Replicas, s.Spec.Selector.MatchLabels, s.Spec.Template, s.Spec.VolumeClaimTemplates})
	}
	return all
}

// containers returns all containers of a pod, including its init containers.
func containers(pod core.PodSpec) []core.Container {
	return append(append([]core.Container(nil), pod.InitContainers...), pod.Containers...)
}

// add adds one object to the bundle. The manifests contain only these kinds. A new kind needs a
// line here and its own rules.
func (b *bundle) add(kind string, manifest []byte) error {
	switch kind {
	case "v1/ServiceAccount":
		return strictly(manifest, &b.accounts)
	case "v1/ConfigMap":
		return strictly(manifest, &b.configMaps)
	case "v1/Service":
		return strictly(manifest, &b.services)
	case "apps/v1/Deployment":
		return strictly(manifest, &b.deployments)
	case "apps/v1/StatefulSet":
		return strictly(manifest, &b.statefulSets)
	case "policy/v1/PodDisruptionBudget":
		return strictly(manifest, &b.budgets)
	case "networking.k8s.io/v1/NetworkPolicy":
		return strictly(manifest, &b.policies)
	case "dapr.io/v1alpha1/Component":
		return strictly(manifest, &b.components)
	case "dapr.io/v1alpha1/Resiliency":
		return strictly(manifest, &b.resiliencies)
	case "dapr.io/v1alpha1/Configuration":
		return strictly(manifest, &b.configurations)
	}
	return fmt.Errorf("these tests do not know kind %s", kind)
}

// strictly decodes a manifest and appends it to a list. An unknown field is an error, and so is a
// duplicate one.
func strictly[T any](manifest []byte, list *[]T) error {
	var one T
	if err := yaml.UnmarshalStrict(manifest, &one); err != nil {
		return err
	}
	*list = append(*list, one)
	return nil
}

// build returns the objects that "kubectl apply -k" would send.
func build(files filesys.FileSystem, folder string) (bundle, error) {
	var b bundle
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, folder)
	if err != nil {
		return b, fmt.Errorf("kustomize: %w", err)
	}
	for _, resource := range made.Resources() {
		manifest, err := resource.AsYAML()
		if err != nil {
			return b, err
		}
		kind := resource.GetApiVersion() + "/" + resource.GetKind()
		if namespace := resource.GetNamespace(); namespace != "" {
			return b, fmt.Errorf("%s %s names namespace %s: leave that to kubectl apply -n", kind, resource.GetName(), namespace)
		}
		if err := b.add(kind, manifest); err != nil {
			return b, fmt.Errorf("%s %s: %w", kind, resource.GetName(), err)
		}
	}
	return b, nil
}

const root = "../.."

// manifests returns the files of deploy/kubernetes in memory, where a test can change them.
func manifests(t *testing.T) filesys.FileSystem {
	t.Helper()
	files, folder := filesys.MakeFsInMemory(), filepath.Join(root, "deploy", "kubernetes")
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return files.WriteFile(strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(folder)), content)
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
