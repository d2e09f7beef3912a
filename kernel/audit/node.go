package audit

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/reading"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// maxKept bounds the bytes of blocks that are kept for the leaves to come.
const maxKept = 64 << 20

// A node is a dag-pb block that was checked against its CID.
type node struct {
	size   int
	links  []*format.Link
	unixfs *ft.FSNode
}

// A fetched node is asked for once, however many wait for it.
type fetched struct {
	once sync.Once
	node *node
	err  error
}

// node fetches a block from the proofs.
func (a *auditor) node(ctx context.Context, id cid.Cid) (*node, error) {
	key := id.KeyString()
	a.mu.Lock()
	f, known := a.nodes[key]
	if !known {
		f = &fetched{}
		a.nodes[key] = f
	}
	a.mu.Unlock()
	f.once.Do(func() {
		f.node, f.err = a.fetch(ctx, id)
		a.mu.Lock()
		defer a.mu.Unlock()
		if f.node != nil && a.kept+f.node.size <= maxKept {
			a.kept += f.node.size
		} else {
			delete(a.nodes, key)
		}
	})
	return f.node, f.err
}

func (a *auditor) fetch(ctx context.Context, id cid.Cid) (*node, error) {
	path := "blocks/" + id.String()
	fail := func(err error) (*node, error) {
		return nil, &Failure{Wrong, "proofs/" + path, 0, strings.Join(strings.Fields(err.Error()), " ")}
	}
	hash, err := multihash.Decode(id.Hash())
	if err != nil {
		return fail(err)
	}
	raw := hash.Digest
	if hash.Code != multihash.IDENTITY {
		if raw, err = a.read(ctx, reading.Proofs, path, 0, maxBlock+1); err != nil {
			return nil, err
		}
	}
	if len(raw) > maxBlock {
		return fail(fmt.Errorf("a block of more than %d bytes", maxBlock))
	}
	if err := unixfs.CheckBlock(id, raw); err != nil {
		return fail(err)
	}
	decoded, err := merkledag.DecodeProtobuf(raw)
	if err != nil {
		return fail(fmt.Errorf("not UnixFS: %w", err))
	}
	n := &node{size: len(raw), links: decoded.Links()}
	if n.unixfs, err = ft.FSNodeFromBytes(decoded.Data()); err != nil {
		return fail(fmt.Errorf("not UnixFS: %w", err))
	}
	a.blocks.Add(1)
	return n, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
