// Command daprcli is the Dapr CLI, built from its own module, for machines that have none: "dapr run" and all else.
package main

import "github.com/dapr/cli/cmd"

// version is that of the module in go.mod. It is the newest that the module proxy has; 1.17 and 1.18 are not to be had there.
const version = "1.16.5"

func main() { cmd.Execute(version, "1.0") }
