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
	commands["ls"] = command{"list the files of a dataset: SOURCE [--with SOURCE]… [--root CID] [--index FILE] [--json]", runLs}
}

type listed struct {
	Path string `json:"path"`
	Type string `json:"type"`
	Size int64  `json:"size"`
	CID  string `json:"cid"`
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
		if e.Type != unixfs.Directory {
			files = append(files, listed{e.Path(), e.Type.String(), e.Size, e.CID.String()})
		}
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
		fmt.Fprintf(out, "%14d  %s  %q\n", f.Size, f.CID, f.Path)
	}
	return out.Flush()
}
