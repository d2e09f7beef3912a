// The commands setup and export-verifier: the circuit's keys, and what the contracts need of them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/consensys/gnark/logger"

	"github.com/shale-cloud/shale/kernel/ledger"
)

func init() {
	logger.Disable() // gnark logs to standard output, which is for answers
	commands["setup"] = command{"make the proving and verifying key: --unsafe-development --keys DIR", setup}
	commands["export-verifier"] = command{"write the Solidity verifier: --keys DIR --out DIR", exportVerifier}
}

func setup(args []string) error {
	flags := quietFlags("setup")
	dir := flags.String("keys", "", "")
	unsafe := flags.Bool("unsafe-development", false, "")
	if err := flags.Parse(args); err != nil || *dir == "" || flags.NArg() > 0 {
		return fmt.Errorf("%w: shale-kernel setup --unsafe-development --keys DIR", errUsage)
	}
	if !*unsafe {
		return fmt.Errorf("%w: only a development setup exists, whose proofs anyone can forge: pass --unsafe-development", errUsage)
	}
	start := time.Now()
	manifest, made, err := ledger.UnsafeDevelopmentSetup(*dir)
	if err != nil {
		return err
	}
	verb := "found"
	if made {
		verb = "made"
	}
	fmt.Printf("%s unsafe development keys in %s: %d constraints, verifying key %s, %.1f s\n",
		verb, *dir, manifest.Constraints, manifest.VKHash, time.Since(start).Seconds())
	return nil
}

func exportVerifier(args []string) error {
	flags := quietFlags("export-verifier")
	dir := flags.String("keys", "", "")
	out := flags.String("out", "", "")
	if err := flags.Parse(args); err != nil || *dir == "" || *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("%w: shale-kernel export-verifier --keys DIR --out DIR", errUsage)
	}
	vk, err := ledger.LoadVerifyingKey(*dir)
	if errors.Is(err, ledger.ErrNoKeys) {
		return noKeys(err, *dir)
	}
	if err != nil {
		return err
	}
	return vk.ExportSolidity(*out)
}

// noKeys adds what to do about it.
func noKeys(err error, dir string) error {
	return fmt.Errorf("%w: run shale-kernel setup --unsafe-development --keys %s", err, dir)
}

// quietFlags leaves it to the caller to print one line.
func quietFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}
