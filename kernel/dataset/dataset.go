// Package dataset opens a dataset: its pieces, held open, and the tree of its files, from an index that was stored or
// from the pieces themselves.
package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/inclusion"
	"github.com/shale-cloud/shale/kernel/piece/source"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

const (
	// maxPieces bounds the pieces of a dataset, as a manifest does: each is an open file, or a piece on a server.
	maxPieces = 1024
	// otherFiles is how many files a process has open beside those.
	otherFiles = 64
	// openAtOnce is how many pieces are opened at the same time: as many as requests go to one server.
	openAtOnce = 8
)

// A Dataset is open until Close.
type Dataset struct {
	Source piece.Source
	Tree   *unixfs.Tree
	// Record is what the index says of the dataset; nil if there was none, or none that could be used.
	Record *Record
	// Unusable is why an index that was there wasn't used.
	Unusable error
	// proof is that of an index of this root, of the sources as they are now or not: who checks it trusts nobody.
	proof *inclusion.Proof
}

// Open opens the pieces that texts name, in their order, and finds the dataset's tree: in the index at path, if that is
// of these pieces as they are now, and else by scanning them. path may be empty. root is the text of a CID, or empty
// for the only root that the pieces' headers name.
func Open(texts []string, root, path string) (*Dataset, error) {
	want, err := unixfs.ParseRoot(root)
	if err != nil {
		return nil, err
	}
	d := &Dataset{}
	stored := &index{}
	if path != "" {
		if stored, d.Unusable = openIndex(path); d.Unusable != nil {
			stored = &index{}
		}
		defer stored.close()
	}
	src, err := openPieces(context.Background(), texts, stored.stamps())
	if err != nil {
		return nil, err
	}
	d.Source = src
	if stored.record != nil {
		d.Tree, d.Unusable = stored.tree(src, texts, want)
	}
	if d.Tree != nil {
		d.Record = stored.record
	} else {
		if d.Tree, err = unixfs.Open(src, root); err != nil {
			src.Close()
			return nil, err
		}
	}
	if stored.record != nil && stored.record.Root == d.Tree.Root.CID.String() {
		d.proof = stored.record.Proof
	}
	return d, nil
}

// Contents are the files and symlinks of a dataset, and their bytes.
type Contents struct {
	Files int   `json:"files"`
	Size  int64 `json:"size"`
}

// Contents counts them.
func (d *Dataset) Contents() Contents { return contentsOf(d.Tree) }

func contentsOf(tree *unixfs.Tree) Contents { return contentsBelow(tree.Root) }

func contentsBelow(dir *unixfs.Entry) (c Contents) {
	_ = dir.Walk(func(e *unixfs.Entry) error {
		if e.Type != unixfs.Directory {
			c.Files++
			c.Size += e.Size
		}
		return nil
	})
	return c
}

// Proof is the inclusion proof of the root's block in its piece, as JSON; nil without a whole index of this root that has
// one. It stays true when the sources change, and says nothing of what they hold now.
func (d *Dataset) Proof() ([]byte, error) {
	if d.proof == nil {
		return nil, nil
	}
	return json.Marshal(d.proof)
}

// Close closes the pieces.
func (d *Dataset) Close() error { return d.Source.Close() }

// openPieces opens them all or none, to be read until ctx is done. stamps are what some were like when they were opened
// before, by their texts.
func openPieces(ctx context.Context, texts []string, stamps map[string]string) (piece.Source, error) {
	if len(texts) > maxPieces {
		return nil, fmt.Errorf("a dataset of %d pieces, more than %d", len(texts), maxPieces)
	}
	if err := roomFor(len(texts)); err != nil {
		return nil, err
	}
	parts, err := openEach(ctx, texts, stamps)
	var joined piece.Source
	if err == nil {
		joined, err = piece.Join(parts...)
	}
	if err != nil {
		for _, part := range parts {
			if part != nil {
				part.Close()
			}
		}
		return nil, err
	}
	return joined, nil
}

// openEach opens several at once, as each may be an answer of a server that is far away. It fails as the first one in
// their order that can't be opened, and begins none after one has failed; what it has opened comes back either way.
func openEach(ctx context.Context, texts []string, stamps map[string]string) ([]piece.Source, error) {
	parts, failed := make([]piece.Source, len(texts)), make([]error, len(texts))
	var next atomic.Int64
	var stop atomic.Bool
	var openers sync.WaitGroup
	for range min(openAtOnce, len(texts)) {
		openers.Go(func() {
			for !stop.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(texts) {
					return
				}
				part, err := source.OpenKnown(texts[i], stamps[texts[i]])
				if err != nil {
					failed[i] = err
					stop.Store(true)
					return
				}
				if ctx.Done() != nil {
					part = untilDone{part, ctx}
				}
				parts[i] = part
			}
		})
	}
	openers.Wait()
	for _, err := range append(failed, ctx.Err()) {
		if err != nil {
			return parts, err
		}
	}
	return parts, nil
}

// roomFor says whether so many files can be open. The soft limit is the hard one: Go raises it.
func roomFor(files int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	if need := uint64(files + otherFiles); files > 1 && limit.Cur < need {
		return fmt.Errorf("a dataset of %d pieces needs %d open files, and %d are allowed: raise the limit (ulimit -n, or LimitNOFILE= of the service)",
			files, need, limit.Cur)
	}
	return nil
}

// An untilDone source is read until its context is done.
type untilDone struct {
	piece.Source
	ctx context.Context
}

func (u untilDone) Beneath() piece.Source { return u.Source }

func (u untilDone) ReadAt(p []byte, off int64) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Source.ReadAt(p, off)
}
