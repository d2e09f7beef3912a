// Command shale-join is the gateway's forced command. It is a program of its own because one runs for every lease, and
// the kernel's curves take tens of milliseconds and megabytes to set up.
package main

import (
	"fmt"
	"os"

	"github.com/shale-cloud/shale/kernel/join"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: shale-join SOCKET")
		os.Exit(2)
	}
	if err := join.Run(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "shale-join: %v\n", err)
		os.Exit(1)
	}
}
