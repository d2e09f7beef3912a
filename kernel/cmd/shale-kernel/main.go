// Command shale-kernel holds Shale's two hot paths, proofs and pieces, behind subcommands that the Python side calls.
package main

import (
	"errors"
	"fmt"
	"os"
	"sort"
)

// A command runs with the arguments after its name. It reports a failure by returning it: main prints one line and exits 1.
type command struct {
	summary string
	run     func(args []string) error
}

// commands is filled by the init function of each command's file.
var commands = map[string]command{}

// errUsage marks a failure of the caller's arguments: exit status 2.
var errUsage = errors.New("usage")

func main() {
	if len(os.Args) < 2 {
		usage()
		os.Exit(2)
	}
	cmd, ok := commands[os.Args[1]]
	if !ok {
		usage()
		os.Exit(2)
	}
	if err := cmd.run(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "shale-kernel %s: %s\n", os.Args[1], advised(err))
		if errors.Is(err, errUsage) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func usage() {
	names := make([]string, 0, len(commands))
	for name := range commands {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintln(os.Stderr, "usage: shale-kernel COMMAND [ARGUMENTS]")
	for _, name := range names {
		fmt.Fprintf(os.Stderr, "  %-16s %s\n", name, commands[name].summary)
	}
}
