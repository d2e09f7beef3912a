package main

import (
	"fmt"

	"github.com/shale-cloud/shale/kernel/join"
)

func init() {
	commands["join"] = command{"join a lease's meter socket to the standard streams (shale-join starts faster)", runJoin}
}

func runJoin(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%w: shale-kernel join SOCKET", errUsage)
	}
	return join.Run(args[0])
}
