package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/shale-cloud/shale/kernel/piece/sector"
	"github.com/shale-cloud/shale/kernel/piece/source"
)

func init() {
	commands["pad"] = command{"put a piece into an unsealed sector file: SOURCE OUT --sector-size SIZE [--at OFFSET] [--json]", runPad}
	commands["unpad"] = command{"write a source's raw bytes as a file: SOURCE OUT [--json]", runUnpad}
}

func runPad(args []string) error {
	flags := flag.NewFlagSet("pad", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	told := progressFlag(flags)
	sizeText := flags.String("sector-size", "", "")
	atText := flags.String("at", "0", "")
	paths, err := parseArgs(flags, args, "SOURCE", "OUT")
	if err != nil {
		return err
	}
	size, err := source.ParseSize(*sizeText)
	if err != nil {
		return fmt.Errorf("%w: --sector-size: %v", errUsage, err)
	}
	offset, err := source.ParseSize(*atText)
	if err != nil {
		return fmt.Errorf("%w: --at: %v", errUsage, err)
	}
	src, err := source.Open(paths[0])
	if err != nil {
		return err
	}
	defer src.Close()
	ctx, cancel := interruptible()
	defer cancel()
	p := withProgress(src, src.Size(), *told)
	at, err := sector.Write(ctx, paths[1], size, offset, p)
	p.stop()
	if err != nil {
		return orInterrupted(ctx, err)
	}
	text := fmt.Sprintf("sector:%s?offset=%d&size=%d&raw=%d", paths[1], at.Offset, at.Size, src.Size())
	if *asJSON {
		return printJSON(struct {
			SectorSize int64  `json:"sector_size"`
			Offset     int64  `json:"offset"`
			Size       int64  `json:"size"`
			RawSize    int64  `json:"raw_size"`
			Source     string `json:"source"`
		}{size, at.Offset, at.Size, src.Size(), text})
	}
	fmt.Println(text)
	return nil
}

func runUnpad(args []string) error {
	flags := flag.NewFlagSet("unpad", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	told := progressFlag(flags)
	paths, err := parseArgs(flags, args, "SOURCE", "OUT")
	if err != nil {
		return err
	}
	src, err := source.Open(paths[0])
	if err != nil {
		return err
	}
	defer src.Close()
	ctx, cancel := interruptible()
	defer cancel()
	p := withProgress(src, src.Size(), *told)
	zeros, err := source.Copy(ctx, paths[1], p)
	p.stop()
	if err != nil {
		return orInterrupted(ctx, err)
	}
	if *asJSON {
		return printJSON(struct {
			RawSize       int64 `json:"raw_size"`
			TrailingZeros int64 `json:"trailing_zeros"`
		}{src.Size(), zeros})
	}
	if zeros > 0 {
		fmt.Fprintf(os.Stderr, "the last %d bytes are zeros: padding, unless the piece ends in them\n", zeros)
	}
	fmt.Printf("%d bytes\n", src.Size())
	return nil
}

// orInterrupted is the failure, or that somebody wanted the command to end.
func orInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was kept")
	}
	return err
}
