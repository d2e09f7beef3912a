package piece

import (
	"bytes"
	"strings"
	"testing"
)

// Vectors of FRC-0069 and of the filecoin-ffi tests.
func TestCommitmentMatchesKnownAnswers(t *testing.T) {
	quads := make([]byte, 0, 512)
	for b := byte(0); b < 4; b++ {
		quads = append(quads, bytes.Repeat([]byte{b}, 127)...)
	}
	cases := []struct {
		name   string
		data   []byte
		v1, v2 string
		padded uint64
	}{
		{"one quad of 0xCC", bytes.Repeat([]byte{0xCC}, 127), "baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq", "", 128},
		{"empty", nil, "", "bafkzcibcp4bdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy", 128},
		{"four quads", quads, "", "bafkzcibcaaces3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi", 512},
		{"four quads and four zeros", append(quads, 0, 0, 0, 0), "", "bafkzcibd7abqlxticxolgseegik2stpfgkkuwyf6kufex3doorkvmzpjuxwe4dz4", 1024},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Commit(bytes.NewReader(c.data))
			if err != nil {
				t.Fatal(err)
			}
			if c.v1 != "" && got.V1.String() != c.v1 {
				t.Errorf("v1 = %s, want %s", got.V1, c.v1)
			}
			if c.v2 != "" && got.V2.String() != c.v2 {
				t.Errorf("v2 = %s, want %s", got.V2, c.v2)
			}
			if got.RawSize != uint64(len(c.data)) || got.PaddedSize != c.padded {
				t.Errorf("sizes = %d, %d, want %d, %d", got.RawSize, got.PaddedSize, len(c.data), c.padded)
			}
			if !strings.HasPrefix(got.V1.String(), "baga6ea4seaq") {
				t.Errorf("v1 = %s is not a piece CID", got.V1)
			}
		})
	}
}

func TestTrailingZerosShareV1AndDifferInV2(t *testing.T) {
	short, err := Commit(strings.NewReader(strings.Repeat("x", 70)))
	if err != nil {
		t.Fatal(err)
	}
	long, err := Commit(strings.NewReader(strings.Repeat("x", 70) + "\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	if !short.V1.Equals(long.V1) || short.V2.Equals(long.V2) {
		t.Errorf("v1 %s and %s, v2 %s and %s", short.V1, long.V1, short.V2, long.V2)
	}
}

func TestPieceShorterThanAQuadIsPadded(t *testing.T) {
	for _, n := range []int{1, 64, 65, 126} {
		got, err := Commit(bytes.NewReader(make([]byte, n)))
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if got.PaddedSize != 128 {
			t.Errorf("%d bytes: padded size %d", n, got.PaddedSize)
		}
	}
}
