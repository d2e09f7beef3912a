package audit

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/reading"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

const (
	// maxWeight bounds what one link's stated size counts for, so that no sum overflows.
	maxWeight   = 1 << 44
	maxFileSize = 1 << 50
)

// A descent is the way from the root to one leaf, each link chosen at random in proportion to its stated size plus one.
// Sizes of a directory's links steer the choice and nothing else; sizes inside a file must be true, since they say where
// its bytes lie.
type descent struct {
	*auditor
	random   *rand.Rand
	names    []string
	answered int

	sharded bool // the next node must be a shard
	inFile  bool // the next node is a part of a file, of stated bytes from at on
	at      int64
	stated  int64
	end     int64 // of the file

	isFile bool
	size   int // of the leaf
	took   time.Duration
}

func (d *descent) path() string { return strings.Join(d.names, "/") }

func (d *descent) failf(reason string, args ...any) error {
	path := d.path()
	if path == "" {
		path = "/"
	}
	return &Failure{Wrong, path, d.at, fmt.Sprintf(reason, args...)}
}

func (d *descent) run(ctx context.Context) error {
	id := d.claim.Root
	for level := 0; ; level++ {
		if level == maxNodes {
			return d.failf("more than %d blocks deep", maxNodes)
		}
		if id.Type() == cid.Raw {
			return d.raw(ctx, id)
		}
		n, err := d.node(ctx, id)
		if err != nil {
			return err
		}
		if d.answered += n.size; d.answered > maxAnswered {
			return d.failf("more than %d bytes of blocks lead to one leaf", maxAnswered)
		}
		kind := n.unixfs.Type()
		switch {
		case d.inFile && kind != ft.TFile && kind != ft.TRaw:
			return d.failf("block %s is a %v where a part of a file belongs", id, kind)
		case d.sharded && kind != ft.THAMTShard:
			return d.failf("block %s is a %v where a shard belongs", id, kind)
		}
		next := cid.Undef
		switch kind {
		case ft.TFile, ft.TRaw:
			next, err = d.part(ctx, n)
		case ft.TDirectory, ft.THAMTShard:
			next, err = d.entry(n)
		case ft.TSymlink:
			err = d.symlink(ctx, n)
		default:
			err = d.failf("block %s has the UnixFS type %v", id, kind)
		}
		if err != nil || !next.Defined() {
			return err
		}
		id = next
	}
}

// entry chooses a link of a directory or of one of its shards; none if it is empty.
func (d *descent) entry(n *node) (cid.Cid, error) {
	if len(n.links) == 0 {
		return cid.Undef, nil
	}
	chosen := n.links[d.choose(len(n.links), func(i int) uint64 { return n.links[i].Size })]
	name := chosen.Name
	d.sharded = false
	if n.unixfs.Type() == ft.THAMTShard {
		fanout := n.unixfs.Fanout()
		if fanout < 2 || fanout > 1<<16 {
			return cid.Undef, d.failf("a shard with a fanout of %d", fanout)
		}
		slot := len(fmt.Sprintf("%X", fanout-1))
		if len(name) < slot {
			return cid.Undef, d.failf("a shard's link %q has no slot", name)
		}
		if name = name[slot:]; name == "" {
			d.sharded = true
			return chosen.Cid, nil
		}
	}
	if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\x00") {
		return cid.Undef, d.failf("a directory with the name %q", name)
	}
	d.names = append(d.names, name)
	return chosen.Cid, nil
}

// part chooses among a file node's own data and its links, after all that it states was compared.
func (d *descent) part(ctx context.Context, n *node) (cid.Cid, error) {
	d.isFile = true
	sizes, data := n.unixfs.BlockSizes(), n.unixfs.Data()
	if len(sizes) != len(n.links) {
		return cid.Undef, d.failf("a block with %d links and %d sizes", len(n.links), len(sizes))
	}
	total := int64(len(data))
	for _, size := range sizes {
		if size > maxFileSize || total > maxFileSize-int64(size) {
			return cid.Undef, d.failf("a file of more than %d bytes", int64(maxFileSize))
		}
		total += int64(size)
	}
	if stated := n.unixfs.FileSize(); stated != 0 && stated != uint64(total) {
		return cid.Undef, d.failf("a block of %d bytes of the file, stated are %d", total, stated)
	}
	if !d.inFile {
		d.top()
		d.inFile, d.end = true, total
	} else if total != d.stated {
		return cid.Undef, d.failf("a block of %d bytes of the file, stated are %d", total, d.stated)
	}
	chosen := d.choose(1+len(sizes), func(i int) uint64 {
		if i == 0 {
			return uint64(len(data))
		}
		return sizes[i-1]
	})
	if chosen == 0 && (len(data) > 0 || len(sizes) == 0) {
		return cid.Undef, d.compare(ctx, int64(len(data)), func(got []byte) error {
			if !bytes.Equal(got, data) {
				return fmt.Errorf("%d bytes that are not those of the leaf", len(got))
			}
			return nil
		})
	}
	chosen = max(chosen, 1)
	d.at += int64(len(data))
	for _, size := range sizes[:chosen-1] {
		d.at += int64(size)
	}
	d.stated = int64(sizes[chosen-1])
	return n.links[chosen-1].Cid, nil
}

// raw reads a leaf without a node: a part of a file, or a whole one of which no size is known but the link's, which
// doesn't bind.
func (d *descent) raw(ctx context.Context, id cid.Cid) error {
	d.isFile = true
	check := func(got []byte) error { return unixfs.CheckBlock(id, got) }
	if d.inFile {
		if d.stated > maxBlock {
			return d.failf("a leaf of %d bytes, more than the %d of a block", d.stated, maxBlock)
		}
		return d.compare(ctx, d.stated, check)
	}
	d.top()
	got, err := d.timed(ctx, maxBlock+1)
	if err != nil {
		return err
	}
	if len(got) > maxBlock {
		return d.failf("more than the %d bytes of a block", maxBlock)
	}
	if err := check(got); err != nil {
		return d.failf("%v", err)
	}
	return nil
}

func (d *descent) symlink(ctx context.Context, n *node) error {
	d.top()
	target := n.unixfs.Data()
	d.end = int64(len(target))
	return d.compare(ctx, d.end, func(got []byte) error {
		if !bytes.Equal(got, target) {
			return fmt.Errorf("leads to %q, not to %q", got, target)
		}
		return nil
	})
}

// top names a root that is no directory as a mount does.
func (d *descent) top() {
	if len(d.names) == 0 {
		d.names = []string{d.claim.Root.String()}
	}
}

// compare reads size bytes at the descent's place. At the end of the file nothing may follow them.
func (d *descent) compare(ctx context.Context, size int64, check func([]byte) error) error {
	last := 0
	if d.at+size == d.end {
		last = 1
	}
	got, err := d.timed(ctx, int(size)+last)
	if err != nil {
		return err
	}
	switch {
	case int64(len(got)) > size:
		return d.failf("the file goes on behind its %d bytes", d.end)
	case int64(len(got)) < size:
		return d.failf("the file ends after %d of %d bytes", d.at+int64(len(got)), d.end)
	}
	if err := check(got); err != nil {
		return d.failf("%v", err)
	}
	return nil
}

func (d *descent) timed(ctx context.Context, n int) ([]byte, error) {
	began := time.Now()
	got, err := d.read(ctx, reading.Data, d.path(), d.at, n)
	d.took = time.Since(began)
	d.size = len(got)
	return got, err
}

// choose picks one of n in proportion to weights, each plus one: what is empty, or says so, is looked at too.
func (d *descent) choose(n int, weight func(int) uint64) int {
	total := uint64(0)
	for i := range n {
		total += min(weight(i), maxWeight) + 1
	}
	point := d.random.Uint64N(total)
	for i := range n {
		own := min(weight(i), maxWeight) + 1
		if point < own {
			return i
		}
		point -= own
	}
	panic("audit: a point behind all weights")
}
