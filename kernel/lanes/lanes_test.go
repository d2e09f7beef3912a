package lanes

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

func needLanes(t testing.TB) {
	t.Helper()
	if !Supported {
		t.Skip("this processor has no AVX-512 IFMA")
	}
}

func put(block []uint64, lane int, v *big.Int) {
	for i, l := range limbsOf(v) {
		block[Lanes*i+lane] = l
	}
}

func take(block []uint64, lane int) *big.Int {
	v := new(big.Int)
	for i := Limbs - 1; i >= 0; i-- {
		v.Lsh(v, limbBits).Add(v, new(big.Int).SetUint64(block[Lanes*i+lane]))
	}
	return v
}

func TestProductsAreCongruentAndBoundedForReducedAndUnreducedOperands(t *testing.T) {
	needLanes(t)
	random := rand.New(rand.NewPCG(1, 2))
	for _, modulus := range []*big.Int{fp.Modulus(), fr.Modulus()} {
		f := newField(modulus)
		one := big.NewInt(1)
		limit := new(big.Int).Lsh(one, 256)
		edges := []*big.Int{
			big.NewInt(0), one, big.NewInt(2), new(big.Int).Sub(modulus, one), modulus, new(big.Int).Add(modulus, one),
			new(big.Int).Lsh(modulus, 1), new(big.Int).Sub(new(big.Int).Lsh(modulus, 1), one), new(big.Int).Sub(limit, one),
			new(big.Int).Sub(new(big.Int).Lsh(one, 52), one), new(big.Int).Lsh(one, 52), new(big.Int).Lsh(one, 208),
		}
		var as, bs []*big.Int
		for _, a := range edges {
			for _, b := range edges {
				as, bs = append(as, a), append(bs, b)
			}
		}
		for len(as)%Lanes != 0 || len(as) < 4096 {
			draw := func() *big.Int {
				var w [4]uint64
				for i := range w {
					w[i] = random.Uint64()
				}
				v := new(big.Int)
				for _, word := range w {
					v.Lsh(v, 64).Add(v, new(big.Int).SetUint64(word))
				}
				return v
			}
			as, bs = append(as, draw()), append(bs, draw())
		}
		blocks := len(as) / Lanes
		a, b, c := Aligned(blocks*Block), Aligned(blocks*Block), Aligned(blocks*Block)
		for i := range as {
			put(a[i/Lanes*Block:], i%Lanes, as[i])
			put(b[i/Lanes*Block:], i%Lanes, bs[i])
		}
		Mul(c, a, b, f)
		inverse := new(big.Int).ModInverse(new(big.Int).Lsh(one, 260), modulus)
		for i := range as {
			want := new(big.Int).Mul(as[i], bs[i])
			bound := new(big.Int).Add(new(big.Int).Rsh(want, 260), modulus)
			want.Mul(want, inverse).Mod(want, modulus)
			got := take(c[i/Lanes*Block:], i%Lanes)
			if got.Cmp(bound) > 0 {
				t.Fatalf("%v * %v gives %v, above its bound", as[i], bs[i], got)
			}
			if got.Mod(got, modulus).Cmp(want) != 0 {
				t.Fatalf("%v * %v gives %v, not %v", as[i], bs[i], got, want)
			}
		}
	}
}

func TestWordsComeBackFromABlock(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	block := make([]uint64, Block)
	for range 1000 {
		var w [4]uint64
		for i := range w {
			w[i] = random.Uint64()
		}
		lane := random.IntN(Lanes)
		Put(block, lane, &w)
		if got := Take(block, lane); got != w {
			t.Fatalf("%x comes back as %x", w, got)
		}
	}
}

func BenchmarkMul(b *testing.B) {
	needLanes(b)
	const blocks = 64
	x, y := Aligned(blocks*Block), Aligned(blocks*Block)
	for b.Loop() {
		Mul(x, x, y, BaseField)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/blocks/Lanes, "ns/mul")
}
