package commp

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func randomBytes(seed uint64, n int) []byte {
	data := make([]byte, n)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	rand.NewChaCha8(key).Read(data)
	return data
}

func TestEveryLoopHashesAsTheStandardLibrary(t *testing.T) {
	for name, hash := range loops() {
		t.Run(name, func(t *testing.T) {
			for pairs := range 100 {
				src := randomBytes(uint64(pairs), pairs*pairSize)
				want, got := make([]byte, pairs*nodeSize), make([]byte, pairs*nodeSize+1)
				got[pairs*nodeSize] = 0xa5
				hashPairsPortable(want, src)
				hash(got, src)
				if !bytes.Equal(got[:pairs*nodeSize], want) {
					t.Fatalf("%d pairs: got %x, want %x", pairs, got, want)
				}
				if got[pairs*nodeSize] != 0xa5 {
					t.Fatalf("%d pairs: wrote past the end", pairs)
				}
			}
		})
	}
}

func TestEveryLoopHashesInPlace(t *testing.T) {
	for name, hash := range loops() {
		t.Run(name, func(t *testing.T) {
			for _, pairs := range []int{1, 2, 3, 16, 17, 63, 64, 1000} {
				src := randomBytes(uint64(pairs), pairs*pairSize)
				want := make([]byte, pairs*nodeSize)
				hashPairsPortable(want, src)
				hash(src, src)
				if !bytes.Equal(src[:pairs*nodeSize], want) {
					t.Fatalf("%d pairs differ", pairs)
				}
			}
		})
	}
}

func BenchmarkHashPairs(b *testing.B) {
	src, dst := randomBytes(1, 1<<16), make([]byte, 1<<15)
	for name, hash := range loops() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				hash(dst, src)
			}
		})
	}
}
