//go:build !race

package integration

// memoryFactor is 1: this program takes no more than any other.
const memoryFactor = 1
