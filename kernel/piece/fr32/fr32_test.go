package fr32_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/shale-cloud/shale/kernel/piece/fr32"
)

// naive pads bit by bit, as the definition reads.
func naive(src []byte) []byte {
	dst := make([]byte, len(src)/fr32.Raw*fr32.Padded)
	for bit := range len(src) * 8 {
		if src[bit/8]>>(bit%8)&1 == 1 {
			to := bit/254*256 + bit%254
			dst[to/8] |= 1 << (to % 8)
		}
	}
	return dst
}

func random(seed uint64, n int) []byte {
	out := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(out)
	return out
}

func TestPaddingIsThatOfTheNaiveModel(t *testing.T) {
	for seed := range uint64(200) {
		quads := int(seed%5) + 1
		raw := random(seed, quads*fr32.Raw)
		padded := make([]byte, quads*fr32.Padded)
		fr32.Pad(padded, raw)
		if want := naive(raw); !bytes.Equal(padded, want) {
			t.Fatalf("seed %d:\n%x\n%x", seed, padded, want)
		}
		for name, unpad := range fr32.Loops {
			back := make([]byte, len(raw))
			if bad := unpad(back, padded); bad != -1 || !bytes.Equal(back, raw) {
				t.Fatalf("%s, seed %d: bad %d", name, seed, bad)
			}
		}
	}
}

func TestEachBitHasItsPlace(t *testing.T) {
	for bit := range fr32.Raw * 8 {
		raw := make([]byte, fr32.Raw)
		raw[bit/8] = 1 << (bit % 8)
		padded := make([]byte, fr32.Padded)
		fr32.Pad(padded, raw)
		if !bytes.Equal(padded, naive(raw)) {
			t.Fatalf("bit %d", bit)
		}
	}
}

func TestOnesFillEachElementsLow254Bits(t *testing.T) {
	padded := make([]byte, fr32.Padded)
	fr32.Pad(padded, bytes.Repeat([]byte{0xff}, fr32.Raw))
	element := append(bytes.Repeat([]byte{0xff}, 31), 0x3f)
	if !bytes.Equal(padded, bytes.Repeat(element, 4)) {
		t.Errorf("%x", padded)
	}
}

func TestPaddingBitsThatAreSetAreReportedAndDropped(t *testing.T) {
	for element := range 8 {
		raw := random(uint64(element), 2*fr32.Raw)
		padded := naive(raw)
		padded[element*32+31] |= 0x80
		for name, unpad := range fr32.Loops {
			back := make([]byte, len(raw))
			if bad := unpad(back, padded); bad != element*32 {
				t.Errorf("%s, element %d: reported at %d", name, element, bad)
			}
			if !bytes.Equal(back, raw) {
				t.Errorf("%s, element %d: its data changed", name, element)
			}
		}
	}
}

func TestUnpaddingTouchesNothingBehindItsQuads(t *testing.T) {
	for name, unpad := range fr32.Loops {
		for quads := range 6 {
			raw := random(uint64(quads), quads*fr32.Raw)
			padded := append(naive(raw), bytes.Repeat([]byte{0xff}, 40)...)
			rest := bytes.Repeat([]byte{0x55}, 40)
			back := append(make([]byte, len(raw)), rest...)
			bad := unpad(back[:len(raw)], padded[:quads*fr32.Padded])
			if bad != -1 || !bytes.Equal(back[:len(raw)], raw) || !bytes.Equal(back[len(raw):], rest) {
				t.Errorf("%s, %d quads: bad %d\n%x\n%x", name, quads, bad, back, raw)
			}
		}
	}
}

func FuzzPaddingIsUndone(f *testing.F) {
	f.Add(random(1, fr32.Raw))
	f.Add(bytes.Repeat([]byte{0xff}, 2*fr32.Raw))
	f.Fuzz(func(t *testing.T, data []byte) {
		raw := data[:len(data)/fr32.Raw*fr32.Raw]
		padded := make([]byte, len(raw)/fr32.Raw*fr32.Padded)
		fr32.Pad(padded, raw)
		back := make([]byte, len(raw))
		if bad := fr32.Unpad(back, padded); bad != -1 || !bytes.Equal(back, raw) || !bytes.Equal(padded, naive(raw)) {
			t.Errorf("bad %d", bad)
		}
	})
}

func BenchmarkUnpad(b *testing.B) {
	raw, padded := make([]byte, 8192*fr32.Raw), make([]byte, 8192*fr32.Padded)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		fr32.Unpad(raw, padded)
	}
}

func BenchmarkPad(b *testing.B) {
	raw, padded := make([]byte, 8192*fr32.Raw), make([]byte, 8192*fr32.Padded)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		fr32.Pad(padded, raw)
	}
}
