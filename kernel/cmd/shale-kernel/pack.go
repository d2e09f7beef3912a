package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

func init() {
	commands["pack"] = command{"write a directory as a CAR: DIR OUT.car [--force] [--json]", runPack}
}

func runPack(args []string) error {
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	force := flags.Bool("force", false, "")
	paths, err := parseArgs(flags, args, "DIR", "OUT.car")
	if err != nil {
		return err
	}
	dir, out := paths[0], paths[1]
	if err := checkOutside(dir, out); err != nil {
		return err
	}
	if err := checkReplaceable(out, *force); err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	packed, c, err := pack(ctx, dir, out)
	if err != nil {
		return orInterrupted(ctx, err)
	}
	if *asJSON {
		return printJSON(struct {
			Root       string `json:"root"`
			PieceCID   string `json:"piece_cid"`
			PieceCIDv2 string `json:"piece_cid_v2"`
			RawSize    uint64 `json:"raw_size"`
			PaddedSize uint64 `json:"padded_size"`
			Files      int    `json:"files"`
		}{packed.Root.String(), c.V1.String(), c.V2.String(), c.RawSize, c.PaddedSize, packed.Files})
	}
	fmt.Printf("root         %s\npiece        %s\npiece v2     %s\nraw size     %d\npadded size  %d\nfiles        %d\n",
		packed.Root, c.V1, c.V2, c.RawSize, c.PaddedSize, packed.Files)
	return nil
}

func pack(ctx context.Context, dir, out string) (unixfs.Packed, piece.Commitment, error) {
	car, err := piece.CreateCAR(out)
	if err != nil {
		return unixfs.Packed{}, piece.Commitment{}, err
	}
	packed, err := unixfs.Pack(ctx, dir, func(ctx context.Context, id cid.Cid, data []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return car.Put(ctx, id, data)
	})
	if err != nil {
		return unixfs.Packed{}, piece.Commitment{}, errors.Join(err, car.Discard())
	}
	c, err := car.Finish(ctx, packed.Root)
	return packed, c, err
}

// checkReplaceable refuses an output that is there already: only a file, and only by force, is replaced.
func checkReplaceable(out string, force bool) error {
	info, err := os.Lstat(out)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: exists already, and is no file: choose another place", out)
	case !force:
		return fmt.Errorf("%s: exists already: choose another place, or replace it with --force", out)
	}
	return nil
}

// checkOutside refuses an output inside the directory that is packed: it would be packed into itself.
func checkOutside(dir, out string) error {
	realDir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if info, err := os.Stat(realDir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s: not a directory: name the folder to pack", dir)
	}
	realOut, err := filepath.EvalSymlinks(filepath.Dir(out))
	if err != nil {
		return err
	}
	if realDir, err = filepath.Abs(realDir); err != nil {
		return err
	}
	if realOut, err = filepath.Abs(realOut); err != nil {
		return err
	}
	if rel, err := filepath.Rel(realDir, realOut); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return fmt.Errorf("%s: lies in %s, the directory to pack: choose another place", out, dir)
	}
	return nil
}
