package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/source"
)

func init() {
	commands["commp"] = command{"commit to a source as a piece: SOURCE [--json]", runCommP}
}

func runCommP(args []string) error {
	flags := flag.NewFlagSet("commp", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	told := progressFlag(flags)
	sources, err := parseArgs(flags, args, "SOURCE")
	if err != nil {
		return err
	}
	src, err := source.Open(sources[0])
	if err != nil {
		return err
	}
	defer src.Close()
	p := withProgress(src, src.Size(), *told)
	c, err := piece.CommitTo(context.Background(), p)
	p.stop()
	if err != nil {
		return err
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
