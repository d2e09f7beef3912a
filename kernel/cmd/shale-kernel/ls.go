package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

func init() {
	commands["ls"] = command{"list the files of a dataset, its symlinks and empty directories: SOURCE [--with SOURCE]… [--root CID] [--index FILE] [--json|--lines]", runLs}
	commands["outline"] = command{"sum a dataset up, in lines of JSON: its sums, its largest top entries, its first files by path: SOURCE [--with SOURCE]… [--root CID] [--index FILE] [--top N] [--first N]", runOutline}
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
	asLines := flags.Bool("lines", false, "") // of JSON, one for each entry
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
	type at struct {
		path  string
		entry *unixfs.Entry
	}
	var found []at
	err = d.Tree.Walk(func(e *unixfs.Entry) error {
		if e.Type != unixfs.Directory || len(e.Entries) == 0 { // else its entries say that it is there
			found = append(found, at{e.Path(), e})
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(found, func(a, b at) int { return strings.Compare(a.path, b.path) })
	// There may be millions: what is printed of them is made one by one.
	files := func(yield func(listed) bool) {
		for _, f := range found {
			l := listed{Path: f.path, Type: f.entry.Type.String(), Size: f.entry.Size, CID: f.entry.CID.String()}
			if f.entry.Type == unixfs.Symlink {
				l.Target = &f.entry.Target
			}
			if !yield(l) {
				return
			}
		}
	}
	if *asJSON {
		return printJSON(append([]listed{}, slices.Collect(files)...))
	}
	if *asLines {
		return printLines(files)
	}
	out := bufio.NewWriter(os.Stdout)
	for f := range files {
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

// printLines prints each value as JSON on a line of its own.
func printLines[T any](values iter.Seq[T]) error {
	buffered := bufio.NewWriter(os.Stdout)
	out := json.NewEncoder(buffered)
	out.SetEscapeHTML(false)
	for value := range values {
		if err := out.Encode(value); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

func runOutline(args []string) error {
	flags := flag.NewFlagSet("outline", flag.ContinueOnError)
	top := flags.Int("top", 64, "")
	first := flags.Int("first", 1000, "")
	progressFlag(flags)
	option := datasetFlags(flags)
	paths, err := parseArgs(flags, args, "SOURCE")
	if err != nil {
		return err
	}
	if *top < 1 || *first < 1 {
		return fmt.Errorf("%w: --top and --first take numbers from 1 on", errUsage)
	}
	d, err := option.open(paths[0])
	if err != nil {
		return err
	}
	defer d.Close()
	o := d.Outline(*top, *first)
	return printLines(func(yield func(any) bool) {
		if !yield(o.Contents) {
			return
		}
		for _, one := range o.Top {
			if !yield(one) {
				return
			}
		}
		for _, one := range o.First {
			if !yield(one) {
				return
			}
		}
	})
}
