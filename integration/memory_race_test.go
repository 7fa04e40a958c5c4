//go:build race

package integration

// memoryFactor is how many times as much memory a program takes that looks for data races.
const memoryFactor = 4
