package main

import (
	"errors"
	"flag"
	"fmt"

	"github.com/shale-cloud/shale/kernel/dataset"
	"github.com/shale-cloud/shale/kernel/piece"
)

func init() {
	commands["index"] = command{"index a dataset once, for its mounts: SOURCE [--with SOURCE]… --out FILE [--root CID] [--no-commitment] [--verify-blocks] [--json]", runIndex}
}

func runIndex(args []string) error {
	flags := flag.NewFlagSet("index", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	told := progressFlag(flags)
	out := flags.String("out", "", "")
	bare := flags.Bool("no-commitment", false, "")
	blocks := flags.Bool("verify-blocks", false, "")
	option := datasetFlags(flags)
	sources, err := parseArgs(flags, args, "SOURCE")
	if err != nil {
		return err
	}
	if *out == "" || option.index != "" {
		return fmt.Errorf("%w: shale-kernel index SOURCE --out FILE", errUsage)
	}
	ctx, stop := interruptible()
	defer stop()
	p := &progress{stop: func() {}}
	record, err := dataset.Build(ctx, option.sources(sources[0]), option.root, *out, dataset.Options{
		NoCommitment: *bare,
		VerifyBlocks: *blocks,
		Reading: func(total int64, part piece.Source) piece.Source {
			if p.total == 0 {
				p = startProgress(total, *told)
			}
			return counted{part, p}
		},
	})
	p.stop()
	if bad := (*dataset.BadBlocks)(nil); *asJSON && errors.As(err, &bad) {
		return errors.Join(err, printJSON(bad))
	}
	if err != nil {
		return orInterrupted(ctx, err)
	}
	if *asJSON {
		shown := *record
		shown.Proof = nil // the file has it
		return printJSON(shown)
	}
	fmt.Printf("root   %s\nsize   %d in %d files\n", record.Root, record.Size, record.Files)
	for _, piece := range record.Pieces {
		fmt.Printf("piece  %s  %s  %d blocks  %q\n", piece.V1, piece.Format, piece.Blocks, piece.Source)
	}
	return nil
}
