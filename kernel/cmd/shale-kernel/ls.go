package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

func init() {
	commands["ls"] = command{"list the files of a dataset, its symlinks and empty directories: SOURCE [--with SOURCE]… [--root CID] [--index FILE] [--json]", runLs}
}

type listed struct {
	Path string `json:"path"`
	Type string `json:"type"`
	Size int64  `json:"size"`
	CID  string `json:"cid"`
	// Target is a symlink's.
	Target *string `json:"target,omitempty"`
}

func runLs(args []string) error {
	flags := flag.NewFlagSet("ls", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	progressFlag(flags)
	option := datasetFlags(flags)
	paths, err := parseArgs(flags, args, "SOURCE")
	if err != nil {
		return err
	}
	d, err := option.open(paths[0])
	if err != nil {
		return err
	}
	defer d.Close()
	files := []listed{}
	err = d.Tree.Walk(func(e *unixfs.Entry) error {
		if e.Type == unixfs.Directory && len(e.Entries) > 0 {
			return nil // its entries say that it is there
		}
		l := listed{Path: e.Path(), Type: e.Type.String(), Size: e.Size, CID: e.CID.String()}
		if e.Type == unixfs.Symlink {
			l.Target = &e.Target
		}
		files = append(files, l)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b listed) int { return strings.Compare(a.Path, b.Path) })
	if *asJSON {
		return printJSON(files)
	}
	out := bufio.NewWriter(os.Stdout)
	for _, f := range files {
		// Quoted, as a name may hold what moves a terminal's cursor.
		fmt.Fprintf(out, "%14d  %s  %q", f.Size, f.CID, f.Path)
		switch {
		case f.Target != nil:
			fmt.Fprintf(out, " -> %q", *f.Target)
		case f.Type == unixfs.Directory.String():
			fmt.Fprint(out, "/")
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}
