package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"

	"github.com/shale-cloud/shale/kernel/piece/source"
)

func init() {
	commands["inspect"] = command{"say what a source is, without reading its blocks: SOURCE [--index-only] [--json]", runInspect}
}

func runInspect(args []string) error {
	flags := flag.NewFlagSet("inspect", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	indexOnly := flags.Bool("index-only", false, "")
	progressFlag(flags)
	sources, err := parseArgs(flags, args, "SOURCE")
	if err != nil {
		return err
	}
	inspect := source.Inspect
	if *indexOnly {
		inspect = source.InspectIndex
	}
	report, err := inspect(sources[0])
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(report)
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(out, "source       %q\nformat       %s\n", report.Source, report.Format)
	for _, root := range report.Roots {
		fmt.Fprintf(out, "root         %s\n", root)
	}
	fmt.Fprintf(out, "blocks       %d\nraw size     %d\npadded size  %d\n", report.Blocks, report.RawSize, report.PaddedSize)
	if report.SectorSize > 0 {
		fmt.Fprintf(out, "sector size  %d\nunsealed     %s\n", report.SectorSize, report.Unsealed)
	}
	for _, p := range report.Pieces {
		fmt.Fprintf(out, "piece %-6d %s at %d, %d bytes\n", p.Number, p.CID, p.Offset, p.Size)
	}
	for _, root := range report.MissingRoots {
		fmt.Fprintf(out, "missing      root %s\n", root)
	}
	for _, p := range report.Problems {
		fmt.Fprintf(out, "problem      offset %d: %s\n", p.Offset, p.Reason)
	}
	return out.Flush()
}
