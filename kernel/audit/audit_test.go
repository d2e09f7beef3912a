package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/audit"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/reading"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

func randomBytes(seed uint64, n int) []byte {
	data := make([]byte, n)
	var key [32]byte
	key[0] = byte(seed)
	rand.NewChaCha8(key).Read(data)
	return data
}

// packed is a dataset as Pack makes it: large files, small ones, a sharded directory, symlinks.
func packed(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("large.bin", randomBytes(1, 5<<20+123))
	write("a/b/small.txt", []byte("small"))
	write("a/empty", nil)
	for i := range 3000 {
		write(fmt.Sprintf("many/%s-%d", strings.Repeat("name", 20), i), []byte{byte(i)})
	}
	if err := os.Symlink("../large.bin", filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "nothing"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := &dag{t: t}
	done, err := unixfs.Pack(context.Background(), dir, func(_ context.Context, id cid.Cid, data []byte) error {
		d.add(piecetest.Block{CID: id, Data: bytes.Clone(data)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d.build(done.Root)
}

// mixed has leaves of every kind, each of the same weight or so.
func mixed(t *testing.T) *world {
	d := &dag{t: t}
	inline, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.IDENTITY}.Sum([]byte("identity"))
	if err != nil {
		t.Fatal(err)
	}
	blake := d.add(piecetest.Raw(t, []byte("blake"), multihash.BLAKE2B_MIN+31))
	leaf := d.file("in a node", nil)
	nested := d.file("", []uint64{9, 3}, link("", leaf, 9), link("", d.raw("raw"), 3))
	whole := d.file("own ", []uint64{12, 8, 5, 12},
		link("", nested, 12), link("", inline, 8), link("", blake, 5), link("", nested, 12))
	return d.build(d.dir(
		link("blake", blake, 5), link("empty", d.file("", nil), 0), link("hollow", d.dir(), 0), link("identity", inline, 0),
		link("inline", leaf, 9), link("link", d.symlink("mixed"), 5), link("mixed", whole, 41), link("raw", d.raw("unstated"), 0),
	))
}

func TestHonestDatasetIsProven(t *testing.T) {
	for name, w := range map[string]*world{"packed": packed(t), "mixed": mixed(t)} {
		result, err := w.audit(150)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if result.Leaves != 150 || result.Piece == nil || *result.Piece != w.claim.Pieces[0].CID.String() ||
			result.Bytes == 0 || result.Blocks == 0 || result.Files < 3 {
			t.Errorf("%s: %+v", name, result)
		}
	}
}

func TestEveryKindOfLeafIsReached(t *testing.T) {
	for name, w := range map[string]*world{"packed": packed(t), "mixed": mixed(t)} {
		var paths = map[string]bool{}
		seen := make(chan string, 1<<16)
		w.tamper = func(in reading.Folder, path string, off int64, data []byte, err error) ([]byte, error) {
			if in == reading.Data {
				seen <- fmt.Sprint(path, ":", off)
			}
			return data, err
		}
		sample := 3000
		if name == "packed" {
			sample = 100
		}
		if _, err := w.audit(sample); err != nil {
			t.Fatal(name, err)
		}
		close(seen)
		for path := range seen {
			paths[path] = true
		}
		want := []string{"blake:0", "empty:0", "identity:0", "inline:0", "link:0", "raw:0",
			"mixed:0", "mixed:4", "mixed:13", "mixed:16", "mixed:24", "mixed:29", "mixed:38"}
		if name == "packed" {
			// The small ones weigh little beside 5 MiB, the large one's leaves are all there.
			want = []string{"large.bin:0", "large.bin:1048576", "large.bin:4194304"}
		}
		for _, path := range want {
			if !paths[path] {
				t.Errorf("%s: %s was never looked at", name, path)
			}
		}
	}
}

func TestRootThatIsAFileIsProven(t *testing.T) {
	d := &dag{t: t}
	raw := d.raw("a whole dataset")
	file := d.file("", []uint64{15}, link("", raw, 15))
	for _, root := range []cid.Cid{raw, file} {
		if _, err := d.build(root).audit(20); err != nil {
			t.Errorf("%s: %v", root, err)
		}
	}
}

func TestAnotherDatasetUnderTheNameIsRefused(t *testing.T) {
	honest, other := mixed(t), packed(t)
	other.claim = honest.claim
	other.refuted(t, "piece.json")
	// With the honest proof, which anybody may copy, there are no blocks.
	other.proof = honest.proof
	other.refuted(t, "no such file")
	// With the honest blocks too, the mount's bytes are others.
	other.blocks = honest.blocks
	other.refuted(t, "unreadable")
}

func TestSwappedLeafIsFoundAtItsPathAndOffset(t *testing.T) {
	w := packed(t)
	w.tamper = func(in reading.Folder, path string, off int64, data []byte, err error) ([]byte, error) {
		if path == "large.bin" && off == 2<<20 {
			data[77] ^= 1
		}
		return data, err
	}
	failure := w.refuted(t, "not block bafk")
	if failure.Path != "large.bin" || failure.Offset != 2<<20 {
		t.Errorf("at %s, offset %d", failure.Path, failure.Offset)
	}
}

func TestFilesThatEndEarlyOrGoOnAreRefused(t *testing.T) {
	for says, change := range map[string]func([]byte) []byte{
		"ends after":        func(data []byte) []byte { return data[:max(0, len(data)-1)] },
		"goes on":           func(data []byte) []byte { return append(bytes.Clone(data), 'x') },
		"are not":           func(data []byte) []byte { return bytes.Repeat([]byte{'x'}, len(data)) },
		"for the":           func(data []byte) []byte { return make([]byte, len(data)+2) },
		"leads to":          func(data []byte) []byte { return bytes.Repeat([]byte{'y'}, len(data)) },
		"that are not bloc": func(data []byte) []byte { return bytes.Repeat([]byte{'z'}, len(data)) },
	} {
		w := mixed(t)
		only := map[string]string{"ends after": "mixed", "goes on": "inline", "are not": "inline", "leads to": "link", "that are not bloc": "raw"}[says]
		w.tamper = func(in reading.Folder, path string, off int64, data []byte, err error) ([]byte, error) {
			if in == reading.Data && len(data) > 0 && (only == "" || path == only) {
				data = change(data)
			}
			return data, err
		}
		w.refuted(t, says)
	}
}

func TestAnyBitFlippedInAnyAnswerIsRefused(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		w := mixed(t)
		answers, victim := 0, random.IntN(4) // the piece's proof is tested by itself
		flipped := ""
		w.tamper = func(in reading.Folder, path string, off int64, data []byte, err error) ([]byte, error) {
			if path == "piece.json" || len(data) == 0 {
				return data, err
			}
			if answers++; answers-1 == victim {
				data = bytes.Clone(data)
				bit := random.IntN(8 * len(data))
				data[bit/8] ^= 1 << (bit % 8)
				flipped = fmt.Sprintf("%s, bit %d", path, bit)
			}
			return data, err
		}
		if result, err := w.audit(1); (err == nil) != (flipped == "") {
			t.Fatalf("flipped %q: %+v, %v", flipped, result, err)
		}
	}
}

func TestUnreadableLeafIsRefused(t *testing.T) {
	w := packed(t)
	w.tamper = func(in reading.Folder, path string, off int64, data []byte, err error) ([]byte, error) {
		if off == 3<<20 {
			return nil, &reading.FileError{Reason: "input/output error"}
		}
		return data, err
	}
	if failure := w.refuted(t, "input/output error"); failure.Offset != 3<<20 || failure.Kind != audit.Unread {
		t.Errorf("%s at %d", failure.Kind, failure.Offset)
	}
}

func TestStatedSizesThatLieAreRefused(t *testing.T) {
	d := &dag{t: t}
	raw := d.raw("twelve bytes")
	inner := d.file("", []uint64{12}, link("", raw, 12))
	for says, root := range map[string]cid.Cid{
		"stated are 13":        d.dir(link("f", d.file("", []uint64{13}, link("", inner, 12)), 12)),
		"ends after":           d.dir(link("f", d.file("", []uint64{13}, link("", raw, 12)), 12)),
		"2 sizes":              d.dir(link("f", d.file("", []uint64{12, 1}, link("", raw, 12)), 12)),
		"more than 1125899906": d.dir(link("f", d.file("", []uint64{1 << 49, 1 << 49, 1}, link("", raw, 1), link("", raw, 1), link("", raw, 1)), 12)),
		"more than the 8388":   d.dir(link("f", d.file("", []uint64{9 << 20}, link("", raw, 12)), 12)),
		"the name":             d.dir(link("../etc", raw, 12)),
	} {
		w := d.storage(root)
		w.tamper = func(in reading.Folder, path string, off int64, data []byte, err error) ([]byte, error) {
			if in == reading.Data {
				return []byte("twelve bytes")[min(12, off):], nil
			}
			return data, err
		}
		w.refuted(t, says)
	}
	// What a directory's link states is a hint, which many builders leave out.
	if _, err := d.build(d.dir(link("f", inner, 1<<62), link("g", raw, 0))).audit(100); err != nil {
		t.Error(err)
	}
}

func TestLoopOfBlocksIsRefused(t *testing.T) {
	d := &dag{t: t}
	child := d.dir(link("down", d.raw("x"), 1))
	root := d.dir(link("down", child, 1))
	w := d.build(root)
	// No hash links to itself, so a loop is a block that is answered for another.
	w.blocks[child.String()] = w.blocks[root.String()]
	w.refuted(t, "that are not block")
}

func TestDepthIsBounded(t *testing.T) {
	d := &dag{t: t}
	id := d.dir(link("end", d.raw("x"), 1))
	for range 300 {
		id = d.dir(link("d", id, 1))
	}
	d.storage(id).refuted(t, "blocks deep")
}

func TestIdentityNodesAreBoundedToo(t *testing.T) {
	d := &dag{t: t}
	id := d.raw("x")
	for range 300 {
		inner := &dag{t: t}
		dir := inner.dir(link("d", id, 1))
		_ = dir
		var err error
		if id, err = (cid.V1Builder{Codec: cid.DagProtobuf, MhType: multihash.IDENTITY}).Sum(inner.blocks[0].Data); err != nil {
			t.Fatal(err)
		}
	}
	d.storage(d.dir(link("d", id, 1))).refuted(t, "blocks deep")
}

func TestEndlessAnswersAreRefused(t *testing.T) {
	for _, folder := range []reading.Folder{reading.Data, reading.Proofs} {
		w := packed(t)
		w.tamper = func(in reading.Folder, path string, off int64, data []byte, err error) ([]byte, error) {
			if in == folder {
				return make([]byte, reading.MaxRead), nil
			}
			return data, err
		}
		w.refuted(t, "offset")
	}
}

func TestProofThatIsNotThereDisprovesNothing(t *testing.T) {
	w := mixed(t)
	w.tamper = func(in reading.Folder, path string, off int64, data []byte, err error) ([]byte, error) {
		if path == "piece.json" {
			return nil, &reading.FileError{Reason: "no such file or directory"}
		}
		return data, err
	}
	if failure := w.refuted(t, "no such file"); failure.Kind != audit.Unread {
		t.Error(failure.Kind)
	}
}

func TestProofOfAnotherPieceIsRefused(t *testing.T) {
	w := mixed(t)
	other := packed(t)
	w.claim.Pieces = other.claim.Pieces
	if failure := w.refuted(t, "not of "+other.claim.Pieces[0].CID.String()); failure.Kind != audit.Wrong {
		t.Error(failure.Kind)
	}
	// One of several pieces is enough: a root lies in one of a dataset's pieces.
	w.claim.Pieces = append(w.claim.Pieces, mixed(t).claim.Pieces...)
	if _, err := w.audit(5); err != nil {
		t.Error(err)
	}
}

func TestPaddedSizeThatIsClaimedBinds(t *testing.T) {
	w := mixed(t)
	w.claim.Pieces[0].Padded *= 2
	w.refuted(t, "padded bytes")
}

func TestProofOfAnotherBlockOfThePieceIsRefused(t *testing.T) {
	d := &dag{t: t}
	leaf := d.raw("a leaf")
	root := d.dir(link("f", leaf, 6))
	w := d.build(root)
	w.proof = d.storage(leaf).proof
	w.claim.Pieces = d.storage(leaf).claim.Pieces
	w.refuted(t, "not of "+root.String())
}

func TestAnswersThatNeverComeAreRefusedInTime(t *testing.T) {
	for _, folder := range []reading.Folder{reading.Data, reading.Proofs} {
		w := mixed(t)
		silent := readerFunc(func(ctx context.Context, in reading.Folder, path string, off int64, n int) ([]byte, error) {
			if in != folder {
				return w.Read(ctx, in, path, off, n)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		_, err := audit.Run(context.Background(), silent, w.claim, audit.Options{Sample: 10, ReadTimeout: time.Millisecond})
		var failure *audit.Failure
		if !errors.As(err, &failure) || !strings.Contains(failure.Reason, "no answer") || failure.Kind != audit.Unread {
			t.Errorf("folder %d: %v", folder, err)
		}
	}
}

func TestWholeAuditEndsWithItsContext(t *testing.T) {
	w := mixed(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	over := errors.New("over")
	cancel(over)
	silent := readerFunc(func(ctx context.Context, _ reading.Folder, _ string, _ int64, _ int) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if _, err := audit.Run(ctx, silent, w.claim, audit.Options{Sample: 10, ReadTimeout: time.Hour}); !errors.Is(err, over) {
		t.Error(err)
	}
}

func TestClaimWithoutAPieceSaysSo(t *testing.T) {
	w := mixed(t)
	w.claim.Pieces, w.proof = nil, nil
	if result, err := w.audit(5); err != nil || result.Piece != nil {
		t.Errorf("%+v, %v", result, err)
	}
}

type readerFunc func(ctx context.Context, in reading.Folder, path string, off int64, n int) ([]byte, error)

func (f readerFunc) Read(ctx context.Context, in reading.Folder, path string, off int64, n int) ([]byte, error) {
	return f(ctx, in, path, off, n)
}
