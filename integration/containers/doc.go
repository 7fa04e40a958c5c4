// Package containers tests the images of this project and its compose.yaml on a Docker engine. The
// service, its sidecar and Redis run in three containers, and the tests stop and start each of
// them. The package has no code but tests. Without a Docker engine the tests fail and say what to
// install.
package containers
