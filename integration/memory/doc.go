// Package memory tests that long streams of large events fit through the memory that the manifests
// give to the bank and its sidecar. It runs without the race detector, which needs several times as
// much memory.
package memory
