package unixfs_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

// doubled is a chain of directories each of which links the next twice: 2^levels paths to the bottom.
func doubled(d *dag, bottom cid.Cid, levels int) cid.Cid {
	at := bottom
	for range levels {
		at = d.dir(link("a", at), link("b", at))
	}
	return at
}

// hundredfold is a file whose nodes each link the next a hundred times.
func hundredfold(d *dag, at cid.Cid, size uint64, levels int) cid.Cid {
	for range levels {
		var links []*format.Link
		var sizes []uint64
		for range 100 {
			links, sizes = append(links, link("", at)), append(sizes, size)
		}
		at, size = d.file("", sizes, links...), size*100
	}
	return at
}

// A CAR of a few kilobytes that names more files, or bytes, than any memory holds.
func TestBombIsRefusedInBoundedMemoryAndTime(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i)
	}
	bombs := map[string]struct {
		root   func(d *dag) cid.Cid
		reason string // none if it is harmless
	}{
		"directories that link the next twice": {func(d *dag) cid.Cid { return doubled(d, d.raw("x"), 60) }, "entries"},
		"as many entries as are free":          {func(d *dag) cid.Cid { return doubled(d, d.raw("x"), 16) }, ""},
		"directories that link the next a hundred times": {func(d *dag) cid.Cid {
			at := d.dir()
			for range 20 {
				links := make([]*format.Link, 0, len(names))
				for _, name := range names {
					links = append(links, link(name, at))
				}
				at = d.dir(links...)
			}
			return at
		}, "entries"},
		"paths": {func(d *dag) cid.Cid {
			at := d.raw("x")
			for range 15 {
				at = d.dir(link(strings.Repeat("n", 250), at))
			}
			return doubled(d, at, 15)
		}, "bytes of paths"},
		"leaves":         {func(d *dag) cid.Cid { return d.dir(link("f", hundredfold(d, d.raw("x"), 1, 7))) }, "leaves"},
		"missing leaves": {func(d *dag) cid.Cid { return d.dir(link("f", hundredfold(d, (&dag{t: d.t}).raw("x"), 1, 7))) }, "leaves"},
		"nodes of no bytes": {func(d *dag) cid.Cid {
			return d.dir(link("f", hundredfold(d, d.file("", nil), 0, 60)))
		}, ""},
		"files of many leaves": {func(d *dag) cid.Cid {
			return doubled(d, d.dir(link("f", hundredfold(d, d.raw("x"), 1, 2))), 40)
		}, "leaves"},
		"bytes": {func(d *dag) cid.Cid {
			big := d.file("", []uint64{1 << 49}, link("", (&dag{t: d.t}).raw("x")))
			return doubled(d, big, 14)
		}, "bytes"},
		"empty shards": {func(d *dag) cid.Cid {
			at := d.node(merkledag.V1CidPrefix(), shardOf(d.t))
			for range 60 {
				at = d.node(merkledag.V1CidPrefix(), shardOf(d.t, 0, 1), link("00", at), link("01", at))
			}
			return at
		}, "shard"},
	}
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			d := &dag{t: t}
			root := bomb.root(d)
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			_, _, err := d.open(root)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if bomb.reason == "" && err != nil || bomb.reason != "" && (err == nil || !strings.Contains(err.Error(), bomb.reason)) {
				t.Fatalf("got %v", err)
			}
			if bomb.reason != "" && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 5000) {
				t.Errorf("got %q", err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 200<<20 {
				t.Errorf("took %d MiB", grown>>20)
			}
			if took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			t.Logf("%d MiB, %v: %.200v", (after.TotalAlloc-before.TotalAlloc)>>20, took, err)
		})
	}
}

func TestLimitNamesItselfAndThePath(t *testing.T) {
	unixfs.Bound(t, 1000, 1000)
	d := &dag{t: t}
	_, _, err := d.open(d.dir(link("fine", d.raw("y")), link("many", doubled(d, d.raw("x"), 12))))
	if err == nil || !strings.Contains(err.Error(), "many/a") || !strings.Contains(err.Error(), "more than 1000 entries") {
		t.Errorf("got %v", err)
	}
}

func TestSharedDirectoriesAndFilesAreWhatTheyAreAtEachPlace(t *testing.T) {
	d := &dag{t: t}
	part := d.file("", []uint64{2, 3}, link("", d.raw("in")), link("", d.raw("ner")))
	whole := d.file("", []uint64{5, 1, 5}, link("", part), link("", d.raw("-")), link("", part))
	sub := d.dir(link("part", part), link("up", d.symlink("../part")), link("whole", whole))
	src, tree, err := d.open(d.dir(link("one", sub), link("part", part), link("two", d.dir(link("deep", sub), link("part", part)))))
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[uint64]bool{}
	for _, dir := range []string{"one", "two/deep"} {
		for name, want := range map[string]string{"part": "inner", "whole": "inner-inner"} {
			if got, err := read(t, src, tree, dir+"/"+name); err != nil || got != want {
				t.Errorf("%s/%s: %q, %v", dir, name, got, err)
			}
			e, _ := tree.Lookup(dir + "/" + name)
			if e.Path() != dir+"/"+name {
				t.Errorf("%s/%s is at %s", dir, name, e.Path())
			}
			numbers[e.Number] = true
		}
	}
	if len(numbers) != 4 || tree.Count != 12 {
		t.Errorf("%d numbers, %d entries", len(numbers), tree.Count)
	}
}

func TestHonestDatasetOfAnySizeIsWithinItsLimits(t *testing.T) {
	d := &dag{t: t}
	same := d.raw("") // the least that a link can take
	var dirs []*format.Link
	for i := range 8 {
		links := make([]*format.Link, 0, 100_000)
		for k := range cap(links) {
			links = append(links, link(fmt.Sprintf("%d%d", i, k), same))
		}
		dirs = append(dirs, link(fmt.Sprint(i), d.dir(links...)))
	}
	if _, tree, err := d.open(d.dir(dirs...)); err != nil || tree.Count != 800_009 {
		t.Errorf("got %v", err)
	}
}
