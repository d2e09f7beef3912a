package main

import (
	"flag"
	"fmt"

	"github.com/shale-cloud/shale/kernel/dataset"
)

func init() {
	commands["materialise"] = command{"write a dataset as a plain directory, verified: SOURCE DIR [--with SOURCE]… [--root CID] [--index FILE] [--json]", runMaterialise}
}

func runMaterialise(args []string) error {
	flags := flag.NewFlagSet("materialise", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	told := progressFlag(flags)
	option := datasetFlags(flags)
	paths, err := parseArgs(flags, args, "SOURCE", "DIR")
	if err != nil {
		return err
	}
	d, err := option.open(paths[0])
	if err != nil {
		return err
	}
	defer d.Close()
	// Until here a signal ends the process: nothing is written yet.
	ctx, stop := interruptible()
	defer stop()
	p := startProgress(d.Contents().Size, *told)
	done, err := d.Materialise(ctx, paths[1], func(n int) { p.done.Add(int64(n)) })
	p.stop()
	if err != nil {
		return orInterrupted(ctx, err)
	}
	root := d.Tree.Root.CID.String()
	if *asJSON {
		return printJSON(struct {
			Root string `json:"root"`
			dataset.Contents
		}{root, done})
	}
	fmt.Printf("root   %s\nsize   %d in %d files\n", root, done.Size, done.Files)
	return nil
}
