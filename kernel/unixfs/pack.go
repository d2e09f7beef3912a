package unixfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
)

// The layout of Singularity and of Kubo's 2025 profile: raw leaves of 1 MiB, 1024 links a node, directories that would
// take more than 256 KiB sharded.
const (
	leafSize = 1 << 20
	maxLinks = 1024
	// listedAtOnce is how many entries of a directory are read before somebody is asked whether to go on.
	listedAtOnce = 4096
)

// Packed is what a directory came to.
type Packed struct {
	Root  cid.Cid
	Files int   // and symlinks
	Bytes int64 // of the files' contents
}

// Pack gives put the blocks of the DAG of a directory, a file at a time, children before parents. The same directory
// gives the same blocks in the same order: names are sorted, modes and times are left out. It refuses what a read-only
// dataset cannot hold: devices, sockets, pipes, symlinks that may lead out of dir.
func Pack(ctx context.Context, dir string, put func(context.Context, cid.Cid, []byte) error) (Packed, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Packed{}, err
	}
	defer root.Close()
	p := &packer{root: root, blocks: &sink{put: put}}
	node, err := p.directory(ctx, ".", 0)
	if err != nil {
		return Packed{}, fmt.Errorf("%s: %w", dir, err)
	}
	p.packed.Root = node.Cid()
	return p.packed, nil
}

type packer struct {
	root   *os.Root
	blocks *sink
	packed Packed
}

func (p *packer) directory(ctx context.Context, rel string, depth int) (format.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: more than %d directories deep", rel, maxDepth)
	}
	entries, err := p.list(ctx, rel)
	if err != nil {
		return nil, err
	}
	dir, err := uio.NewDirectory(p.blocks, uio.WithCidBuilder(merkledag.V1CidPrefix()))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		child := path.Join(rel, entry.Name())
		if err := checkName(entry.Name()); err != nil {
			return nil, fmt.Errorf("%s: %w", child, err)
		}
		var node format.Node
		switch entry.Type() {
		case fs.ModeDir:
			node, err = p.directory(ctx, child, depth+1)
		case fs.ModeSymlink:
			node, err = p.symlink(ctx, child, depth)
		case 0:
			node, err = p.file(child)
		default:
			err = fmt.Errorf("%s: a special file (%v) cannot be packed", child, entry.Type())
		}
		if err == nil {
			err = dir.AddChild(ctx, entry.Name(), node)
		}
		if err != nil {
			return nil, err
		}
	}
	node, err := dir.GetNode()
	if err != nil {
		return nil, err
	}
	return node, p.blocks.Add(ctx, node)
}

// list reads a directory some entries at a time: one of millions must not outlast whoever waits for the end.
func (p *packer) list(ctx context.Context, rel string) (entries []fs.DirEntry, err error) {
	f, err := p.root.OpenFile(rel, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for err == nil {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var some []fs.DirEntry
		some, err = f.ReadDir(listedAtOnce)
		entries = append(entries, some...)
	}
	if err != io.EOF {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

func (p *packer) file(rel string) (format.Node, error) {
	// A file that was swapped for a symlink or a pipe since it was listed is neither followed nor waited for.
	f, err := p.root.OpenFile(rel, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: changed while it was packed", rel)
	}
	params := helpers.DagBuilderParams{
		Maxlinks:   maxLinks,
		RawLeaves:  true,
		CidBuilder: merkledag.V1CidPrefix(),
		Dagserv:    p.blocks,
	}
	content := &counter{f: f}
	layout, err := params.New(chunk.NewSizeSplitter(content, leafSize))
	if err != nil {
		return nil, err
	}
	node, err := balanced.Layout(layout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rel, err)
	}
	if content.n != info.Size() {
		return nil, fmt.Errorf("%s: changed while it was packed", rel)
	}
	p.packed.Files++
	p.packed.Bytes += content.n
	return node, nil
}

func (p *packer) symlink(ctx context.Context, rel string, depth int) (format.Node, error) {
	target, err := p.root.Readlink(rel)
	if err != nil {
		return nil, err
	}
	if err := checkTarget(target, depth); err != nil {
		return nil, fmt.Errorf("%s: %w", rel, err)
	}
	if climbsLater(target) {
		// Where other symlinks lead it, the root follows, and lets nothing out.
		if _, err := p.root.Stat(path.Dir(rel) + "/" + target); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: symlink to %q may lead out of the dataset: %w", rel, target, err)
		}
	}
	data, err := ft.SymlinkData(target)
	if err != nil {
		return nil, err
	}
	node := merkledag.NodeWithData(data)
	if err := node.SetCidBuilder(merkledag.V1CidPrefix()); err != nil {
		return nil, err
	}
	p.packed.Files++
	return node, p.blocks.Add(ctx, node)
}

type counter struct {
	f *os.File
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.f.Read(b)
	c.n += int64(n)
	return n, err
}

// A sink is the store that the DAG builders write to: blocks go out at once and cannot be had back.
type sink struct {
	put func(context.Context, cid.Cid, []byte) error
}

func (s *sink) Add(ctx context.Context, node format.Node) error {
	return s.put(ctx, node.Cid(), node.RawData())
}

func (s *sink) AddMany(ctx context.Context, nodes []format.Node) error {
	for _, node := range nodes {
		if err := s.Add(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

var errWriteOnly = errors.New("blocks of a CAR that is being written cannot be read")

func (s *sink) Get(context.Context, cid.Cid) (format.Node, error) { return nil, errWriteOnly }
func (s *sink) Remove(context.Context, cid.Cid) error             { return errWriteOnly }
func (s *sink) RemoveMany(context.Context, []cid.Cid) error       { return errWriteOnly }

func (s *sink) GetMany(context.Context, []cid.Cid) <-chan *format.NodeOption {
	out := make(chan *format.NodeOption, 1)
	out <- &format.NodeOption{Err: errWriteOnly}
	close(out)
	return out
}
