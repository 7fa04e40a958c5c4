// Package containers tests the images of this project and its compose.yaml on a Docker engine: the service, its sidecar and Redis as
// three containers, each of which is stopped and started again. It has no code but tests, and needs an engine: without one the
// tests fail and say what to install.
package containers
