// The commands setup and export-verifier: the circuit's keys, and what the contracts need of them.
package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/consensys/gnark/logger"

	"github.com/shale-cloud/shale/kernel/ledger"
)

func init() {
	logger.Disable() // gnark logs to standard output, which is for answers
	commands["setup"] = command{"make proving keys: --unsafe-development --keys DIR [--sizes 1,8,64]", setup}
	commands["export-verifier"] = command{"write the Solidity verifiers: --out DIR", exportVerifier}
}

func setup(args []string) error {
	usage := fmt.Errorf("%w: shale-kernel setup --unsafe-development --keys DIR [--sizes 1,8,64]; the sizes are %v", errUsage, ledger.Sizes)
	flags := quietFlags("setup")
	dir := flags.String("keys", "", "")
	chosen := flags.String("sizes", "1,8,64", "")
	unsafe := flags.Bool("unsafe-development", false, "")
	if err := flags.Parse(args); err != nil || *dir == "" || flags.NArg() > 0 {
		return usage
	}
	if !*unsafe {
		return fmt.Errorf("%w: a ceremony makes keys for real money; for those whose proofs anyone can forge pass --unsafe-development", errUsage)
	}
	var sizes []int
	for _, text := range strings.Split(*chosen, ",") {
		size, err := strconv.Atoi(text)
		if err != nil || !ledger.IsSize(size) {
			return usage
		}
		sizes = append(sizes, size)
	}
	keys, err := ledger.Pinned()
	if err != nil {
		return err
	}
	for _, size := range sizes {
		start := time.Now()
		made, err := keys.UnsafeDevelopmentSetup(*dir, size)
		if err != nil {
			return err
		}
		verb := "found"
		if made {
			verb = "made"
		}
		fmt.Printf("%s the unsafe development key of size %d in %s: %d constraints, %.1f s\n",
			verb, size, *dir, keys.BySize[size].Constraints, time.Since(start).Seconds())
	}
	return nil
}

func exportVerifier(args []string) error {
	flags := quietFlags("export-verifier")
	out := flags.String("out", "", "")
	if err := flags.Parse(args); err != nil || *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("%w: shale-kernel export-verifier --out DIR", errUsage)
	}
	keys, err := ledger.Pinned()
	if err != nil {
		return err
	}
	return keys.ExportSolidity(*out)
}

// quietFlags leaves it to the caller to print one line.
func quietFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}
