package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/dataset"
	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/inclusion"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
)

// split spreads the blocks of a CAR over three, in turn: a file, a sector's piece and a server's. The root is in the last.
func split(t *testing.T, car string) (sources []string, root string) {
	t.Helper()
	src, err := piece.OpenFile(car)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var blocks [3][]piecetest.Block
	n := 0
	header, err := piece.WalkCAR(src, func(id cid.Cid, b piece.Block) error {
		data := make([]byte, b.Size)
		blocks[n%3] = append(blocks[n%3], piecetest.Block{CID: id, Data: data})
		n++
		_, err := src.ReadAt(data, b.Offset)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Directories come last in a packed CAR, the root as the very last.
	last := (n - 1) % 3
	order := [3]int{(last + 1) % 3, (last + 2) % 3, last}
	for i, part := range order {
		path := filepath.Join(t.TempDir(), "piece.car")
		if err := os.WriteFile(path, piecetest.CAR(t, header.Roots, blocks[part]...), 0o600); err != nil {
			t.Fatal(err)
		}
		switch i {
		case 1:
			path, _ = padded(t, path)
		case 2:
			path = served(t, path)
		}
		sources = append(sources, path)
	}
	return sources, header.Roots[0].String()
}

func TestDatasetOverPiecesOfEveryKindIsOne(t *testing.T) {
	car, large := packedDir(t)
	sources, root := split(t, car)
	with := []string{sources[0], "--with", sources[1], "--with", sources[2], "--root", root}
	want := output(t, "ls", "--json", car)
	if got := output(t, append([]string{"ls", "--json"}, with...)...); !bytes.Equal(got, want) {
		t.Errorf("lists %s", got)
	}
	path := filepath.Join(t.TempDir(), "index")
	var record dataset.Record
	if err := json.Unmarshal(output(t, append([]string{"index", "--json", "--out", path}, with...)...), &record); err != nil {
		t.Fatal(err)
	}
	if record.Root != root || record.Files != 2 || record.RootPiece != 2 || len(record.Pieces) != 3 || record.Pieces[1].Source != sources[1] {
		t.Errorf("%+v", record)
	}
	for i, source := range sources {
		c := decoded[map[string]any](t, "commp", source, "--json")
		if p := record.Pieces[i]; p.V1 != c["v1"] || p.V2 != c["v2"] || float64(p.PaddedSize) != c["padded_size"] {
			t.Errorf("%+v is %v", p, c)
		}
	}
	indexed := append(with, "--index", path)
	if got := output(t, append([]string{"ls", "--json"}, indexed...)...); !bytes.Equal(got, want) {
		t.Errorf("lists %s from its index", got)
	}
	if got := output(t, append([]string{"cat", indexed[0], "large"}, indexed[1:]...)...); !bytes.Equal(got, large) {
		t.Errorf("cat wrote %d bytes", len(got))
	}
	dir := t.TempDir()
	startedWith(t, append([]string{"--source"}, append(indexed, "--dir", dir)...)...)
	if got, err := os.ReadFile(filepath.Join(dir, "large")); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes from the mount, %v", len(got), err)
	}
}

func TestProofsOfAnIndexedDatasetHaveThePieces(t *testing.T) {
	car, large := packedDir(t)
	path := filepath.Join(t.TempDir(), "index")
	record := decoded[dataset.Record](t, "index", car, "--out", path, "--json")
	dir := t.TempDir()
	startedWith(t, "--source", car, "--index", path, "--proofs", "--dir", dir)
	if got, err := os.ReadFile(filepath.Join(dir, "data", "large")); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "proofs", "piece.json"))
	if err != nil {
		t.Fatal(err)
	}
	proof, err := inclusion.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	id, root := cid.MustParse(record.Pieces[0].V1), cid.MustParse(record.Root)
	section, _, err := proof.Verify(id)
	if err != nil {
		t.Fatal(err)
	}
	block, err := inclusion.BlockIn(section, root)
	if err != nil {
		t.Fatal(err)
	}
	if shown, err := os.ReadFile(filepath.Join(dir, "proofs", "blocks", record.Root)); err != nil || !bytes.Equal(shown, block) {
		t.Errorf("%d bytes, %v", len(shown), err)
	}
}

func TestMissingPieceIsAnIOErrorForItsFiles(t *testing.T) {
	car, _ := packedDir(t)
	sources, root := split(t, car)
	dir := t.TempDir()
	_, lines, _ := startedWith(t, "--source", sources[2], "--with", sources[1], "--root", root, "--dir", dir)
	if _, err := os.ReadFile(filepath.Join(dir, "large")); !errors.Is(err, syscall.EIO) {
		t.Errorf("a file of which a leaf is missing: %v", err)
	}
	var got event
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &got) != nil || got.Kind != "missing" || got.Path != "large" || *got.Offset != -1 {
		t.Errorf("%s", lines.Text())
	}
	out, err := kernel("index", sources[2], "--with", sources[1], "--root", root, "--verify-blocks", "--out", dir+".index").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the link to it is in block") || !strings.Contains(string(out), " of "+sources[2]) && !strings.Contains(string(out), " of "+sources[1]) {
		t.Errorf("indexed: %s", out)
	}
	out, err = kernel("ls", sources[0], "--with", sources[1], "--root", root).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "missing") || bytes.Count(out, []byte("\n")) != 1 {
		t.Errorf("without the root's piece: %s", out)
	}
}

func TestMountWithAnIndexOfOtherBytesSaysSoAndBuildsAnew(t *testing.T) {
	car, large := packedDir(t)
	path := filepath.Join(t.TempDir(), "index")
	output(t, "index", car, "--out", path)
	data, err := os.ReadFile(car)
	if err != nil {
		t.Fatal(err)
	}
	// The same bytes in another file: who knows.
	if err := os.WriteFile(car+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(car+".new", car); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := kernel("mount", "--source", car, "--dir", dir, "--index", path)
	_, lines, _ := startedAs(t, cmd, dir)
	if !strings.Contains(lines.Text(), `"rebuilt"`) || !lines.Scan() || lines.Text() != `{"event":"ready"}` {
		t.Errorf("%s", lines.Text())
	}
	if got, err := os.ReadFile(filepath.Join(dir, "large")); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestFailedIndexLeavesTheOldOne(t *testing.T) {
	car, _ := packedDir(t)
	path := filepath.Join(t.TempDir(), "index")
	output(t, "index", car, "--out", path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := kernel("index", "/etc/passwd", "--out", path).CombinedOutput(); err == nil || bytes.Count(out, []byte("\n")) != 1 {
		t.Errorf("%v: %s", err, out)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the index changed: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}
