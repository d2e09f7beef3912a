package inclusion_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	library "github.com/filecoin-project/go-fil-commp-hashhash"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/inclusion"
)

const chunk = 256 << 10 / 128 * 127

type memory struct{ *bytes.Reader }

func (m memory) Size() int64  { return m.Reader.Size() }
func (m memory) Name() string { return "memory" }
func (m memory) Close() error { return nil }

func randomBytes(seed uint64, n int) []byte {
	data := make([]byte, n)
	var key [32]byte
	key[0] = byte(seed)
	rand.NewChaCha8(key).Read(data)
	return data
}

func prove(t testing.TB, data []byte, at, size int) (piece.Commitment, *inclusion.Proof) {
	t.Helper()
	c, p, err := inclusion.Prove(context.Background(), memory{bytes.NewReader(data)}, int64(at), int64(size))
	if err != nil {
		t.Fatalf("%d bytes at %d of %d: %v", size, at, len(data), err)
	}
	return c, p
}

// oracle is the piece CID that Filecoin's library computes.
func oracle(t testing.TB, data []byte) cid.Cid {
	t.Helper()
	calc := &library.Calc{}
	calc.Write(data)
	if len(data) < 127 {
		calc.Write(make([]byte, 127-len(data)))
	}
	root, _, err := calc.Digest()
	if err != nil {
		t.Fatal(err)
	}
	id, err := piece.CommitmentCID(root)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRangesOfManyShapesAreProvenToTheLibrarysCommitment(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, length := range []int{
		1, 126, 127, 128, 254, 255, 1000, 4096, chunk - 1, chunk, chunk + 1, 2 * chunk, 3*chunk + 77, 5*chunk - 127, 8 * chunk,
	} {
		data := randomBytes(uint64(length), length)
		want := oracle(t, data)
		for round := range 12 {
			at := rng.IntN(length)
			size := 1 + rng.IntN(min(length-at, 1<<rng.IntN(22)))
			switch round {
			case 0:
				at, size = 0, 1
			case 1:
				at, size = length-1, 1
			case 2:
				at, size = 0, min(length, inclusion.MaxRange)
			case 3:
				at = min(126, length-1)
				size = min(2, length-at)
			}
			c, p := prove(t, data, at, size)
			if c.V1 != want {
				t.Fatalf("%d bytes: committed to %s, the library to %s", length, c.V1, want)
			}
			for _, id := range []cid.Cid{c.V1, c.V2} {
				got, padded, err := p.Verify(id)
				if err != nil || !bytes.Equal(got, data[at:at+size]) || padded != c.PaddedSize {
					t.Fatalf("%d bytes at %d of %d: %v, padded size %d", size, at, length, err, padded)
				}
			}
		}
	}
}

func TestPieceThatEndsInZerosIsProvenToItsEnd(t *testing.T) {
	data := append(randomBytes(7, chunk+500), make([]byte, 6*chunk)...)
	c, p := prove(t, data, len(data)-300, 300)
	if got, _, err := p.Verify(c.V1); err != nil || !bytes.Equal(got, make([]byte, 300)) {
		t.Fatal(err)
	}
	c, p = prove(t, data, chunk+400, 200)
	if got, _, err := p.Verify(c.V1); err != nil || !bytes.Equal(got, data[chunk+400:chunk+600]) {
		t.Fatal(err)
	}
}

func TestPieceThatWasPaddedUpIsProvenByAProofOfTheSmallerOne(t *testing.T) {
	data := randomBytes(8, 100_000)
	c, p := prove(t, data, 5000, 400)
	got, padded, err := p.Verify(oracle(t, append(bytes.Clone(data), make([]byte, 600_000)...)))
	if err != nil || padded != 8*c.PaddedSize || !bytes.Equal(got, data[5000:5400]) {
		t.Fatal(padded, err)
	}
}

func TestAnyFlippedBitIsRefused(t *testing.T) {
	data := randomBytes(9, 3*chunk+10)
	for _, at := range []int{0, 126, chunk - 100, 3*chunk - 195} {
		c, p := prove(t, data, at, 200)
		for i := range p.Quads {
			p.Quads[i] ^= 1 << (i % 8)
			if _, _, err := p.Verify(c.V1); err == nil {
				t.Fatalf("byte %d of the quads is changed, and accepted", i)
			}
			p.Quads[i] ^= 1 << (i % 8)
		}
		for i := range p.Path {
			for bit := range 8 {
				p.Path[i] ^= 1 << bit
				if _, _, err := p.Verify(c.V1); err == nil {
					t.Fatalf("byte %d of the path is changed, and accepted", i)
				}
				p.Path[i] ^= 1 << bit
			}
		}
		if _, _, err := p.Verify(c.V1); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnotherOffsetSizeOrPieceIsRefused(t *testing.T) {
	data := randomBytes(10, 2*chunk+10)
	c, p := prove(t, data, 1000, 127)
	for _, at := range []int64{-1, 0, 127, 1000 - 127, 1000 + 127, 1000 + 2*127, 2 * chunk, 1 << 40} {
		other := *p
		other.At = at
		if _, _, err := other.Verify(c.V1); err == nil {
			t.Errorf("the bytes at 1000 are proven to be at %d", at)
		}
	}
	for _, size := range []int64{-1, 0, 127 * 3, inclusion.MaxRange + 1} {
		other := *p
		other.Size = size
		if _, _, err := other.Verify(c.V1); err == nil {
			t.Errorf("127 bytes are proven to be %d", size)
		}
	}
	for _, padded := range []uint64{0, 1, 100, p.PaddedSize / 2, p.PaddedSize * 2, p.PaddedSize + 1, 1 << 60} {
		other := *p
		other.PaddedSize = padded
		if _, _, err := other.Verify(c.V2); err == nil {
			t.Errorf("a piece of %d padded bytes is proven to have %d", p.PaddedSize, padded)
		}
	}
	data[3] ^= 1
	if _, _, err := p.Verify(oracle(t, data)); err == nil || !strings.Contains(err.Error(), c.V1.String()) {
		t.Errorf("the proof of another piece: %v", err)
	}
	sum, err := multihash.Sum(data, multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Verify(cid.NewCidV1(cid.Raw, sum)); err == nil || !strings.Contains(err.Error(), "not a piece CID") {
		t.Errorf("a CID of something else: %v", err)
	}
}

func TestProofSurvivesItsJSON(t *testing.T) {
	data := randomBytes(11, 5<<20)
	c, p := prove(t, data, 100, inclusion.MaxRange)
	text, err := json.Marshal(p)
	if err != nil || len(text) > inclusion.MaxJSON {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	again, err := inclusion.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := again.Verify(c.V1); err != nil || !bytes.Equal(got, data[100:100+inclusion.MaxRange]) {
		t.Fatal(err)
	}
}

func TestMalformedProofsAreRefused(t *testing.T) {
	_, p := prove(t, randomBytes(12, 5000), 100, 100)
	good, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":         "",
		"another type":  "[]",
		"two values":    string(good) + "{}",
		"cut":           string(good[:len(good)-2]),
		"no fields":     "{}",
		"short path":    strings.Replace(string(good), `"path":"`, `"path":"","p":"`, 1),
		"short quads":   strings.Replace(string(good), `"quads":"`, `"quads":"","q":"`, 1),
		"huge":          strings.Repeat(" ", inclusion.MaxJSON+1),
		"deeply nested": strings.Repeat("[", 100_000),
	} {
		if _, err := inclusion.Parse([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRangesThatAreNotInTheSourceAreRefused(t *testing.T) {
	src := memory{bytes.NewReader(randomBytes(13, 1000))}
	for _, r := range [][2]int64{{-1, 2}, {0, 0}, {0, -1}, {999, 2}, {1000, 1}, {0, inclusion.MaxRange + 1}, {1 << 62, 1 << 62}} {
		if _, _, err := inclusion.Prove(context.Background(), src, r[0], r[1]); err == nil {
			t.Errorf("%d bytes at %d of 1000: proven", r[1], r[0])
		}
	}
}

// turncoat answers the second read of its bytes with others.
type turncoat struct {
	memory
	until int64
}

func (s *turncoat) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.memory.ReadAt(p, off)
	if s.until -= int64(n); s.until < 0 && n > 0 {
		p[0] ^= 1
	}
	return n, err
}

func TestSourceThatChangesMeanwhileIsAnErrorWithItsOffset(t *testing.T) {
	src := &turncoat{memory{bytes.NewReader(randomBytes(14, 1000))}, 1000}
	_, _, err := inclusion.Prove(context.Background(), src, 0, 10)
	if err == nil || !strings.Contains(err.Error(), "memory: offset 0: ") {
		t.Fatal(err)
	}
}

func TestSectionOfARealCARIsFoundAndProven(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.car")
	car, err := piece.CreateCAR(path)
	if err != nil {
		t.Fatal(err)
	}
	var ids []cid.Cid
	for i, size := range []int{0, 1, 80, 5000, 70_000} {
		data := randomBytes(uint64(i), size)
		sum, err := multihash.Sum(data, multihash.SHA2_256, -1)
		if err != nil {
			t.Fatal(err)
		}
		id := cid.NewCidV1(cid.Raw, sum)
		if i%2 == 1 {
			id = cid.NewCidV0(sum)
		}
		ids = append(ids, id)
		if err := car.Put(context.Background(), id, data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := car.Finish(context.Background(), ids[0]); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	src := memory{bytes.NewReader(raw)}
	seen := 0
	_, err = piece.WalkCAR(src, func(id cid.Cid, block piece.Block) error {
		seen++
		at, size := inclusion.Section(id, block)
		c, p := prove(t, raw, int(at), int(size))
		section, _, err := p.Verify(c.V1)
		if err != nil {
			return err
		}
		got, err := inclusion.BlockIn(section, id)
		if err != nil {
			return err
		}
		want, err := io.ReadAll(io.NewSectionReader(src, block.Offset, int64(block.Size)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: another block, %v", id, err)
		}
		if _, err := inclusion.BlockIn(section, ids[seen%len(ids)]); err == nil {
			t.Errorf("the section of %s is taken for another block's", id)
		}
		if _, err := inclusion.BlockIn(section[:len(section)-1], id); err == nil && size > 0 {
			t.Errorf("%s: a cut section is accepted", id)
		}
		return nil
	})
	if err != nil || seen != len(ids) {
		t.Fatal(seen, err)
	}
}

func FuzzParse(f *testing.F) {
	_, p := prove(f, randomBytes(15, 2000), 100, 100)
	good, err := json.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"at":9223372036854775807,"size":1,"padded_size":128}`))
	f.Add([]byte(`{"at":0,"size":1,"padded_size":68719476736,"quads":"","path":""}`))
	other := oracle(f, []byte("other"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := inclusion.Parse(text)
		if err != nil {
			return
		}
		if _, _, err := p.Verify(other); err == nil {
			t.Fatal("a proof of a piece that nobody has seen")
		}
	})
}
