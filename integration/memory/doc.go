// Package memory tests that long streams of large events go through the memory that the manifests give to
// the bank and its sidecar. It is run without the race detector, which takes several times as much.
package memory
