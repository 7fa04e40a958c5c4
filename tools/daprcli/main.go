// Command daprcli is the Dapr CLI, built from its own module. It is for machines without the Dapr
// CLI, and has all its commands, such as "dapr run".
package main

import "github.com/dapr/cli/cmd"

// version is the version of the module in go.mod. The module proxy has no newer one: it lacks 1.17
// and 1.18.
const version = "1.16.5"

func main() { cmd.Execute(version, "1.0") }
