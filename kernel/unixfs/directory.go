package unixfs

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	ft "github.com/ipfs/boxo/ipld/unixfs"
	format "github.com/ipfs/go-ipld-format"
)

// A dirBuilder lists one directory, and counts what is below it.
type dirBuilder struct {
	*builder
	dir    *Entry
	below  *subtree
	shards map[string]bool // those below the root of a sharded one, by their CIDs
}

func (d *dirBuilder) children(n *node) error {
	d.dir.Entries = make([]*Entry, 0, len(n.links))
	for _, link := range n.links {
		if err := d.child(link.Name, link, n); err != nil {
			return err
		}
	}
	return nil
}

func (d *dirBuilder) child(name string, link *format.Link, n *node) error {
	if err := checkName(name); err != nil {
		return d.errorf(n.block.Offset, d.dir.Path(), "%v", err)
	}
	e, below, err := d.entry(d.dir, strings.Clone(name), *link, n.block.Offset)
	if err != nil {
		return err
	}
	d.below.add(e, below)
	d.dir.Entries = append(d.dir.Entries, e)
	return nil
}

// shard adds the entries of one node of a sharded directory: a link's name is a slot in hexadecimal, followed by the
// entry's name, or alone when it leads to a shard below.
func (d *dirBuilder) shard(n *node, level int) error {
	if level > maxShards {
		return d.errorf(n.block.Offset, d.dir.Path(), "more than %d shards deep", maxShards)
	}
	fanout := n.unixfs.Fanout()
	if fanout < 2 || fanout > 1<<16 {
		return d.errorf(n.block.Offset, d.dir.Path(), "shard with a fanout of %d", fanout)
	}
	marked := 0
	for _, b := range n.unixfs.Data() {
		marked += bits.OnesCount8(b)
	}
	if marked != len(n.links) {
		return d.errorf(n.block.Offset, d.dir.Path(), "shard of %d entries with %d links", marked, len(n.links))
	}
	slot := len(fmt.Sprintf("%X", fanout-1))
	for _, link := range n.links {
		if len(link.Name) < slot {
			return d.errorf(n.block.Offset, d.dir.Path(), "shard's link %q has no slot", link.Name)
		}
		if len(link.Name) > slot {
			if err := d.child(link.Name[slot:], link, n); err != nil {
				return err
			}
			continue
		}
		id, err := parseID(link.Cid)
		if err != nil {
			return d.errorf(n.block.Offset, d.dir.Path(), "%v", err)
		}
		if key := id.cid.KeyString(); d.shards[key] {
			return d.errorf(n.block.Offset, d.dir.Path(), "shard %s stands twice", id.cid)
		} else if d.shards == nil {
			d.shards = map[string]bool{key: true}
		} else {
			d.shards[key] = true
		}
		below, ok, err := d.node(id, n.block.Offset, d.dir)
		switch {
		case err != nil:
			return err
		case !ok:
			return d.errorf(n.block.Offset, d.dir.Path(), "shard %s is missing", id.cid)
		case below.unixfs.Type() != ft.THAMTShard:
			return d.errorf(below.block.Offset, d.dir.Path(), "a %v where a shard belongs", below.unixfs.Type())
		case len(below.links) == 0:
			return d.errorf(below.block.Offset, d.dir.Path(), "shard %s is empty, below another", id.cid)
		}
		if err := d.shard(below, level+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *dirBuilder) sort(n *node) error {
	slices.SortFunc(d.dir.Entries, func(x, y *Entry) int { return strings.Compare(x.Name, y.Name) })
	for i := 1; i < len(d.dir.Entries); i++ {
		if d.dir.Entries[i].Name == d.dir.Entries[i-1].Name {
			return d.errorf(n.block.Offset, d.dir.Path(), "name %q stands twice", d.dir.Entries[i].Name)
		}
	}
	d.dir.Entries = slices.Clip(d.dir.Entries)
	return nil
}
