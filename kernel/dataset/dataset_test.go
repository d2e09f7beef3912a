package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/inclusion"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// packed is a directory as a CAR, and its root.
func packed(t testing.TB) (car string, root cid.Cid) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"a/large": bytes.Repeat([]byte("0123456789abcdef"), 3<<15), "a/small": []byte("small"), "empty": nil,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("large", filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	car = filepath.Join(t.TempDir(), "d.car")
	return car, repack(t, dir, car)
}

func repack(t testing.TB, dir, car string) cid.Cid {
	t.Helper()
	w, err := piece.CreateCAR(car)
	if err != nil {
		t.Fatal(err)
	}
	done, err := unixfs.Pack(t.Context(), dir, w.Put)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(t.Context(), done.Root); err != nil {
		t.Fatal(err)
	}
	return done.Root
}

func indexed(t testing.TB, car string) (path string, record *Record) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "index")
	record, err := Build(t.Context(), []string{car}, "", path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return path, record
}

// listing is all that a reader sees of a tree.
func listing(t *testing.T, d *Dataset) string {
	t.Helper()
	var out strings.Builder
	reader := unixfs.NewReader(d.Source, d.Tree, unixfs.FirstTouch)
	err := d.Tree.Walk(func(e *unixfs.Entry) error {
		fmt.Fprintln(&out, e.Path(), e.Number, e.Type, e.CID, e.Size, e.Target, e.Mode, e.MTime, len(e.Entries))
		data := make([]byte, e.Size)
		if e.Type != unixfs.File || e.Size == 0 {
			return nil
		}
		if _, err := reader.ReadAt(e, data, 0); err != nil && err != io.EOF {
			return err
		}
		fmt.Fprintf(&out, "%x\n", sha256.Sum256(data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func opened(t *testing.T, car, root, index string) *Dataset {
	t.Helper()
	d, err := Open([]string{car}, root, index)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestADatasetIsTheSameFromItsIndex(t *testing.T) {
	car, root := packed(t)
	path, record := indexed(t, car)
	d := opened(t, car, root.String(), path)
	if d.Record == nil {
		t.Fatal(d.Unusable)
	}
	anew := opened(t, car, "", "")
	if got, want := listing(t, d), listing(t, anew); got != want || anew.Record != nil {
		t.Errorf("%s\nis not\n%s", got, want)
	}
	if d.Tree.Count != anew.Tree.Count {
		t.Errorf("%d entries, %d", d.Tree.Count, anew.Tree.Count)
	}
	if a, ok := d.Tree.Block(root); !ok {
		t.Error("no root")
	} else if b, _ := anew.Tree.Block(root); a.Offset != b.Offset || a.Size != b.Size {
		t.Errorf("the root at %v, %v", a, b)
	}
	if record.Files != 4 || record.Root != root.String() || record.Size != 3<<19+5+5 {
		t.Errorf("%+v", record)
	}
	src, err := piece.OpenFile(car)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	c, err := piece.CommitTo(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	if p := record.Pieces[0]; p.V1 != c.V1.String() || p.V2 != c.V2.String() || p.RawSize != src.Size() || p.Format != "car-v1" || p.Blocks < 5 {
		t.Errorf("%+v", p)
	}
	text, err := json.Marshal(d.Record.Proof)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := inclusion.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	proven, _, err := proof.Verify(c.V1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inclusion.BlockIn(proven, root); err != nil {
		t.Error(err)
	}
}

func TestAnIndexOfAnotherVersionOfThePieceIsNotUsed(t *testing.T) {
	car, root := packed(t)
	path, _ := indexed(t, car)
	if err := os.Chtimes(car, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	d := opened(t, car, root.String(), path)
	if d.Record != nil || d.Unusable == nil || !strings.Contains(d.Unusable.Error(), "has changed") {
		t.Errorf("%v", d.Unusable)
	}
	if len(listing(t, d)) == 0 {
		t.Error("nothing is there")
	}
}

func TestAnIndexOfSomethingElseIsNotUsed(t *testing.T) {
	car, _ := packed(t)
	path, _ := indexed(t, car)
	other, err := cid.V1Builder{Codec: cid.DagProtobuf, MhType: 0x12}.Sum([]byte("other"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open([]string{car}, other.String(), path); err == nil || !strings.Contains(err.Error(), other.String()) {
		t.Errorf("another root: %v", err)
	}
	copied := filepath.Join(t.TempDir(), "copy.car")
	data, err := os.ReadFile(car)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if d := opened(t, copied, "", path); d.Record != nil || d.Unusable == nil {
		t.Error("the index of another file was used")
	}
	if d := opened(t, car, "", filepath.Join(t.TempDir(), "none")); d.Record != nil || d.Unusable == nil {
		t.Error("an index that isn't there was used")
	}
	if d, err := Open([]string{car, copied}, d0(t, car), path); err != nil || d.Record != nil {
		t.Errorf("the index of one piece was used for two: %v", err)
	}
}

func d0(t *testing.T, car string) string { return opened(t, car, "", "").Tree.Root.CID.String() }

func TestNoByteOfAnIndexCanChange(t *testing.T) {
	car, _ := packed(t)
	path, _ := indexed(t, car)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if d := opened(t, car, "", path); d.Record != nil {
			t.Errorf("%s: the index was used", what)
		}
	}
	for at := 0; at < len(data); at += 1 + len(data)/200 {
		changed := bytes.Clone(data)
		changed[at] ^= 0x10
		refused(fmt.Sprintf("byte %d", at), changed)
	}
	for _, n := range []int{0, 7, headSize, len(data) / 2, len(data) - 1} {
		refused(fmt.Sprintf("%d bytes", n), data[:n])
	}
	refused("trailing", append(bytes.Clone(data), 0))
	next := bytes.Clone(data)
	binary.LittleEndian.PutUint32(next[len(magic):], version+1)
	refused("version", sealed(next[:len(next)-sha256.Size]))
	if err := os.WriteFile(path, sealed(data[:len(data)-sha256.Size]), 0o600); err != nil {
		t.Fatal(err)
	}
	if d := opened(t, car, "", path); d.Record == nil {
		t.Errorf("the index as it was: %v", d.Unusable)
	}
}

// sealed ends an index with its checksum.
func sealed(data []byte) []byte {
	sum := sha256.Sum256(data)
	return append(bytes.Clone(data), sum[:]...)
}

func TestWhatCannotBeIndexedLeavesNoIndex(t *testing.T) {
	car, _ := packed(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "index")
	other, err := cid.V1Builder{Codec: cid.DagProtobuf, MhType: 0x12}.Sum([]byte("other"))
	if err != nil {
		t.Fatal(err)
	}
	inline, err := cid.V1Builder{Codec: cid.Raw, MhType: 0}.Sum([]byte("inline"))
	if err != nil {
		t.Fatal(err)
	}
	for root, reason := range map[string]string{
		other.String(): "none of the pieces", inline.String(): "identity", "nonsense": "not a CID",
	} {
		if _, err := Build(t.Context(), []string{car}, root, path, Options{}); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", root, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, bare := range []bool{true, false} {
		if _, err := Build(ctx, []string{car}, "", path, Options{NoCommitment: bare}); err == nil || !strings.Contains(err.Error(), "canceled") {
			t.Errorf("interrupted: %v", err)
		}
	}
	if err := os.Truncate(car, 1<<19); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(t.Context(), []string{car}, "", path, Options{}); err == nil || !strings.Contains(err.Error(), car+": offset ") {
		t.Errorf("truncated: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestTheProofOutlivesAChangeOfTheSource(t *testing.T) {
	car, root := packed(t)
	path, record := indexed(t, car)
	if err := os.Chtimes(car, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	d := opened(t, car, root.String(), path)
	if d.Unusable == nil {
		t.Error("the index of another version was used")
	}
	want, err := json.Marshal(record.Proof)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Proof(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v: %d bytes of a proof", err, len(got))
	}
}

func TestTheProofOfAnotherRootIsNotShown(t *testing.T) {
	car, _ := packed(t)
	path, _ := indexed(t, car)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	root := repack(t, dir, car)
	d := opened(t, car, root.String(), path)
	if proof, err := d.Proof(); err != nil || proof != nil || d.Unusable == nil {
		t.Errorf("%v: %d bytes of a proof, %v", err, len(proof), d.Unusable)
	}
}

// untagged serves a file by ranges, and never says which version of it.
func untagged(t *testing.T, content []byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(server.Close)
	return server.URL + "/piece/x"
}

func TestTheIndexOfAServerThatTellsNoVersionsIsUsedAndItsBytesAreVerified(t *testing.T) {
	car, _ := packed(t)
	content, err := os.ReadFile(car)
	if err != nil {
		t.Fatal(err)
	}
	url := untagged(t, content)
	path, _ := indexed(t, url)
	d := opened(t, url, "", path)
	if d.Record == nil {
		t.Fatal(d.Unusable)
	}
	if proof, err := d.Proof(); err != nil || proof == nil {
		t.Errorf("%v: no proof", err)
	}
	// Bytes that change without another size are found when they are fetched.
	content[bytes.Index(content, []byte("small"))] ^= 1
	d = opened(t, url, "", path)
	e, _ := d.Tree.Lookup("a/small")
	if _, err := unixfs.NewReader(d.Source, d.Tree, unixfs.FirstTouch).ReadAt(e, make([]byte, 5), 0); err == nil {
		t.Error("a corrupt block was read")
	}
}

func TestARecordIsReadWithoutItsSources(t *testing.T) {
	car, root := packed(t)
	path, _ := indexed(t, car)
	if err := os.Remove(car); err != nil {
		t.Fatal(err)
	}
	record, err := ReadRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	if record.Root != root.String() || record.Pieces[0].Source != car || !strings.HasPrefix(record.Pieces[0].Stamp, "file ") {
		t.Errorf("%+v", record)
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRecord(path); err == nil {
		t.Error("half an index was taken for a whole one")
	}
}
