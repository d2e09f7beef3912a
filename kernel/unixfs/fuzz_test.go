package unixfs_test

import (
	"bytes"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// all is what a reader sees of a tree: paths and contents.
func all(t *testing.T, src piecetest.Source, tree *unixfs.Tree) string {
	t.Helper()
	var out strings.Builder
	reader := unixfs.NewReader(src, tree, unixfs.FirstTouch)
	var last uint64
	numbers := map[uint64]bool{}
	_ = tree.Walk(func(e *unixfs.Entry) error {
		fmt.Fprintf(&out, "%s %s %d %q", e.Path(), e.Type, e.Size, e.Target)
		if numbers[e.Number] {
			t.Fatalf("number %d twice", e.Number)
		}
		numbers[e.Number] = true
		last = max(last, e.Number)
		if found, ok := tree.Lookup(e.Path()); !ok || found != e {
			t.Fatalf("%q is not where it is", e.Path())
		}
		if e.Type == unixfs.File && e.Size < 1<<16 {
			p := make([]byte, e.Size+1)
			n, err := reader.ReadAt(e, p, 0)
			if err == io.EOF && int64(n) != e.Size && e.Size > 0 {
				t.Fatalf("%q: %d bytes of %d", e.Path(), n, e.Size)
			}
			fmt.Fprintf(&out, " %q %v", p[:n], err)
		}
		fmt.Fprintln(&out)
		return nil
	})
	if last > tree.Count {
		t.Fatalf("number %d of %d", last, tree.Count)
	}
	return out.String()
}

// FuzzNode takes any bytes as the node of a root, beside a few sound blocks that it may link to. What is built of them is
// the same when it was stored and loaded.
func FuzzNode(f *testing.F) {
	d := &dag{t: f}
	raw := d.raw("leaf")
	file := d.file("", []uint64{4, 4}, link("", raw), link("", raw))
	dir := d.dir(link("f", file), link("r", raw), link("l", d.symlink("f")))
	shard := d.node(merkledag.V1CidPrefix(), shardOf(f, 0, 1), link("00", d.node(merkledag.V1CidPrefix(), shardOf(f, 3), link("03f", file))), link("01d", dir))
	for _, b := range d.blocks {
		f.Add(b.Data)
	}
	d.file("own", []uint64{8}, link("", file))
	d.dir(link("a", dir), link("b", shard))
	f.Add(d.blocks[len(d.blocks)-1].Data)
	f.Add(d.blocks[len(d.blocks)-2].Data)
	sound := d.blocks
	f.Fuzz(func(t *testing.T, data []byte) {
		root := node(t, data)
		src := piecetest.CAR(t, []cid.Cid{root.CID}, append(sound[:len(sound):len(sound)], root)...)
		tree, err := unixfs.Open(src, "")
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		var stored bytes.Buffer
		if err := tree.Store(&stored); err != nil {
			t.Fatal(err)
		}
		loaded, err := unixfs.Load(bytes.NewReader(stored.Bytes()), int64(stored.Len()), src.Size())
		if err != nil {
			t.Fatalf("what was built cannot be loaded: %v", err)
		}
		if a, b := all(t, src, tree), all(t, src, loaded); a != b {
			t.Errorf("built\n%s\nloaded\n%s", a, b)
		}
	})
}

// A made node is what FuzzShared knows of one of its nodes.
type made struct {
	id      cid.Cid
	dir     bool
	content string
	entries map[string]int
}

// FuzzShared builds DAGs in which nodes link to each other many times over, and compares what is read with what was meant.
func FuzzShared(f *testing.F) {
	f.Add([]byte{0, 1, 2, 0, 0, 3, 1, 0, 2, 1, 3, 3, 3})
	f.Add([]byte{0, 2, 2, 0, 0, 2, 3, 3, 3, 3, 2, 3, 2, 3, 3, 4, 4, 4, 5, 5, 5})
	f.Fuzz(func(t *testing.T, program []byte) {
		d := &dag{t: t}
		nodes := []made{{id: d.raw("r"), content: "r"}}
		next := func() int {
			if len(program) == 0 {
				return 0
			}
			b := int(program[0])
			program = program[1:]
			return b
		}
		for len(program) > 0 && len(nodes) < 40 {
			switch next() % 4 {
			case 0:
				text := strings.Repeat(string(rune('a'+next()%26)), 1+next()%3)
				nodes = append(nodes, made{id: d.raw(text), content: text})
			case 1, 2:
				var links []*format.Link
				var sizes []uint64
				text := strings.Repeat("o", next()%2)
				own := text
				for range 1 + next()%4 {
					if n := nodes[next()%len(nodes)]; !n.dir && len(text)+len(n.content) < 2000 {
						links, sizes = append(links, link("", n.id)), append(sizes, uint64(len(n.content)))
						text += n.content
					}
				}
				nodes = append(nodes, made{id: d.file(own, sizes, links...), content: text})
			case 3:
				entries := map[string]int{}
				for i := range next() % 4 {
					entries[fmt.Sprint(i)] = next() % len(nodes)
				}
				var links []*format.Link
				for name, of := range entries {
					links = append(links, link(name, nodes[of].id))
				}
				sort.Slice(links, func(i, k int) bool { return links[i].Name < links[k].Name })
				nodes = append(nodes, made{id: d.dir(links...), dir: true, entries: entries})
			}
		}
		root := len(nodes)
		nodes = append(nodes, made{dir: true, entries: map[string]int{"x": root - 1, "y": root - 1}})
		nodes[root].id = d.dir(link("x", nodes[root-1].id), link("y", nodes[root-1].id))
		var want strings.Builder
		count := 0
		var unfold func(path string, n made)
		unfold = func(path string, n made) {
			for _, name := range []string{"0", "1", "2", "3", "x", "y"} {
				of, ok := n.entries[name]
				if !ok || count > 5000 {
					continue
				}
				count++
				e, at := nodes[of], strings.TrimPrefix(path+"/"+name, "/")
				if e.dir {
					fmt.Fprintf(&want, "%s directory 0 \"\"\n", at)
					unfold(at, e)
				} else {
					fmt.Fprintf(&want, "%s file %d \"\" %q EOF\n", at, len(e.content), e.content)
				}
			}
		}
		if unfold("", nodes[root]); count > 5000 {
			return
		}
		src, tree, err := d.open(nodes[root].id)
		if err != nil {
			t.Fatal(err)
		}
		if got := all(t, src, tree); got != want.String() {
			t.Errorf("got\n%s\nwant\n%s", got, want.String())
		}
	})
}
