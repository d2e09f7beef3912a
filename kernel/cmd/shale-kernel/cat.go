package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

func init() {
	commands["cat"] = command{"write a file of a dataset to stdout, verified: SOURCE PATH [--with SOURCE]… [--root CID] [--index FILE]", runCat}
}

func runCat(args []string) error {
	flags := flag.NewFlagSet("cat", flag.ContinueOnError)
	progressFlag(flags)
	option := datasetFlags(flags)
	paths, err := parseArgs(flags, args, "SOURCE", "PATH")
	if err != nil {
		return err
	}
	d, err := option.open(paths[0])
	if err != nil {
		return err
	}
	defer d.Close()
	entry, ok := d.Tree.Lookup(paths[1])
	if !ok {
		return fmt.Errorf("%s: no file %q in it: shale piece ls lists its files", paths[0], paths[1])
	}
	switch entry.Type {
	case unixfs.Directory:
		return fmt.Errorf("%s: %q is a directory: name a file in it, which shale piece ls lists", paths[0], paths[1])
	case unixfs.Symlink:
		return fmt.Errorf("%s: %q is a symlink to %q: name that", paths[0], paths[1], entry.Target)
	}
	reader := unixfs.NewReader(d.Source, d.Tree, unixfs.FirstTouch)
	buf := make([]byte, 1<<20)
	for off := int64(0); off < entry.Size; {
		n, err := reader.ReadAt(entry, buf, off)
		if err != nil && err != io.EOF {
			return err
		}
		if _, err := os.Stdout.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}
