package unixfs_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

// stored is a node of UnixFS 1.5, with a mode and a time.
func (d *dag) stored(n *ft.FSNode, mode uint32, at time.Time, links ...*format.Link) cid.Cid {
	d.t.Helper()
	n.SetModeFromUnixPermissions(mode)
	n.SetModTime(at)
	data, err := n.GetBytes()
	if err != nil {
		d.t.Fatal(err)
	}
	return d.node(merkledag.V1CidPrefix(), data, links...)
}

func TestModeAndTimeAreThoseStored(t *testing.T) {
	at := time.Unix(1_600_000_000, 123_456_789)
	d := &dag{t: t}
	file := ft.NewFSNode(ft.TFile)
	file.SetData([]byte("#!/bin/sh\n"))
	script := d.stored(file, 0o4755, at)
	empty := d.stored(ft.NewFSNode(ft.TFile), 0, at)
	dir := d.stored(ft.NewFSNode(ft.TDirectory), 0o700, time.Unix(-5, 0), link("script", script))
	src, tree, err := d.open(d.dir(link("dir", dir), link("empty", empty), link("raw", d.raw("no node"))))
	if err != nil {
		t.Fatal(err)
	}
	var stored bytes.Buffer
	if err := tree.Store(&stored); err != nil {
		t.Fatal(err)
	}
	loaded, err := unixfs.Load(&stored, int64(stored.Len()), src.Size())
	if err != nil {
		t.Fatal(err)
	}
	for _, tree := range []*unixfs.Tree{tree, loaded} {
		for path, want := range map[string]struct {
			mode uint16
			at   time.Time
		}{
			// Set-user-id is left out.
			"dir/script": {0o755, at}, "empty": {0, at}, "dir": {0o700, time.Unix(-5, 0)}, "raw": {}, "": {},
		} {
			e, ok := tree.Lookup(path)
			if !ok || e.Mode != want.mode || !e.MTime.Equal(want.at) {
				t.Errorf("%q: %o, %v", path, e.Mode, e.MTime)
			}
		}
	}
}

func TestFractionOfATimeIsReadAsOtherBuildersWriteIt(t *testing.T) {
	at := time.Unix(1_600_000_000, 0)
	whole := binary.AppendUvarint([]byte{0x08}, uint64(at.Unix()))
	for name, c := range map[string]struct {
		stated []byte
		want   time.Time
	}{
		"no fraction":        {whole, at},
		"a fraction of zero": {append(bytes.Clone(whole), 0x15, 0, 0, 0, 0), at}, // as npm's ipfs-unixfs writes it
		"one nanosecond":     {append(bytes.Clone(whole), 0x15, 1, 0, 0, 0), at.Add(1)},
		"all but a second":   {append(bytes.Clone(whole), 0x15, 0xff, 0xc9, 0x9a, 0x3b), at.Add(999_999_999)},
		"a second":           {append(bytes.Clone(whole), 0x15, 0x00, 0xca, 0x9a, 0x3b), time.Time{}},
		"an absurd fraction": {append(bytes.Clone(whole), 0x15, 0xff, 0xff, 0xff, 0xff), time.Time{}},
		"before the epoch":   {[]byte{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x15, 0, 0, 0, 0}, time.Unix(-1, 0)},
		"the fraction first": {append([]byte{0x15, 0, 0, 0, 0}, whole...), at},
		"no time":            {nil, time.Time{}},
	} {
		d := &dag{t: t}
		data := []byte{0x08, 0x02, 0x12, 0x01, 'x', 0x18, 0x01} // a file of a byte
		if c.stated != nil {
			data = append(append(data, 0x42, byte(len(c.stated))), c.stated...)
		}
		_, tree, err := d.open(d.dir(link("f", d.node(merkledag.V1CidPrefix(), data))))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e, _ := tree.Lookup("f"); !e.MTime.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, e.MTime, c.want)
		}
	}
}
