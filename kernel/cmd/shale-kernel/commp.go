package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/shale-cloud/shale/kernel/piece"
)

func init() {
	commands["commp"] = command{"commit to a file as a piece: FILE [--json]", runCommP}
}

func runCommP(args []string) error {
	flags := flag.NewFlagSet("commp", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	files, err := parseArgs(flags, args, "FILE")
	if err != nil {
		return err
	}
	f, err := os.Open(files[0])
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := piece.Commit(f)
	if err != nil {
		return fmt.Errorf("%s: %w", files[0], err)
	}
	if *asJSON {
		return printJSON(struct {
			V1         string `json:"v1"`
			V2         string `json:"v2"`
			RawSize    uint64 `json:"raw_size"`
			PaddedSize uint64 `json:"padded_size"`
		}{c.V1.String(), c.V2.String(), c.RawSize, c.PaddedSize})
	}
	fmt.Printf("v1          %s\nv2          %s\nraw size    %d\npadded size %d\n", c.V1, c.V2, c.RawSize, c.PaddedSize)
	return nil
}
