// Package kubernetes checks the manifests of deploy/kubernetes without a cluster. It checks that
// kustomize builds them, and that Kubernetes and Dapr know every field. It also checks what no
// schema can: that the manifests fit each other and the service. The package has no code but tests.
// It is a separate module because of its many dependencies.
package kubernetes
