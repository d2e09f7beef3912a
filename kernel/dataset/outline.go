package dataset

import (
	"cmp"
	"slices"
	"strings"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

// An Outline is what is told of a dataset to those who choose: how much it holds, its largest top entries by path, and the
// first of its files by path.
type Outline struct {
	Contents
	Top   []Top
	First []Listed
}

// A Top entry is a file or symlink in the root's directory, or a directory in it, with a slash, and what is below.
type Top struct {
	Path string `json:"path"`
	Contents
}

// Listed is a file or symlink by its path.
type Listed struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// Outline sums the dataset up: at most so many top entries, of equals the first by path, and so many files.
func (d *Dataset) Outline(top, first int) *Outline {
	o := &Outline{Contents: d.Contents()}
	for _, e := range d.Tree.Root.Entries {
		if one := topOf(e); one.Files > 0 {
			o.Top = append(o.Top, one)
		}
	}
	slices.SortStableFunc(o.Top, func(a, b Top) int { return cmp.Compare(b.Size, a.Size) })
	o.Top = o.Top[:min(top, len(o.Top))]
	slices.SortFunc(o.Top, func(a, b Top) int { return strings.Compare(a.Path, b.Path) })
	o.First = d.first(first)
	return o
}

func topOf(e *unixfs.Entry) Top {
	if e.Type != unixfs.Directory {
		return Top{e.Name, Contents{1, e.Size}}
	}
	return Top{e.Name + "/", contentsBelow(e)}
}

// first are the first files by path; in the tree's own order "a-b" stands behind "a/b". Twice as many are held at most.
func (d *Dataset) first(most int) (files []Listed) {
	keep := func() {
		slices.SortFunc(files, func(a, b Listed) int { return strings.Compare(a.Path, b.Path) })
		files = files[:min(most, len(files))]
	}
	_ = d.Tree.Walk(func(e *unixfs.Entry) error {
		if e.Type != unixfs.Directory {
			if files = append(files, Listed{e.Path(), e.Size}); len(files) >= 2*most {
				keep()
			}
		}
		return nil
	})
	keep()
	return files
}
