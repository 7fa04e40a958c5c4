// Package kubernetes checks the manifests of deploy/kubernetes: that kustomize builds them, that Kubernetes and Dapr know every
// field, and what no schema says: that they fit each other and the service. It has no code but tests, and is a module of its
// own for what these import. There is no cluster in it.
package kubernetes
