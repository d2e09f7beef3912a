package ledger

import (
	"testing"

	"github.com/consensys/gnark/frontend"

	"github.com/shale-cloud/shale/kernel/voucher"
)

// partCircuit is one part of a slot by itself, to count its constraints.
type partCircuit struct {
	In   [600]frontend.Variable
	part func(g gadgets, in []frontend.Variable)
}

func (c *partCircuit) Define(api frontend.API) error {
	hash, err := newHasher(api)
	if err != nil {
		return err
	}
	points, err := newCurve(api, "")
	if err != nil {
		return err
	}
	c.part(gadgets{api, hash, points, ""}, c.In[:])
	return nil
}

// What a slot's constraints are spent on: the table of docs/benchmarks.md is what this prints with -v.
func TestConstraintsOfEachPart(t *testing.T) {
	// Sums of single variables are free: what a part has beside its own is what binds its outcome.
	count := func(part func(g gadgets, in []frontend.Variable)) int {
		return compileOther(t, &partCircuit{part: part}).GetNbConstraints()
	}
	compression := count(func(g gadgets, in []frontend.Variable) { g.hash.compress(in[0], in[1]) })
	parts := []struct {
		name  string
		count int
	}{
		{"leaf before and after: 4 compressions", 4 * compression},
		{"message and challenge: 2 compressions", 2 * compression},
		{"tree inside the window, twice: 2 compressions", 2 * compression},
		{"c: 1 compression", compression},
		{"challenge times key: a ladder of 128 bits", count(func(g gadgets, in []frontend.Variable) {
			g.points.mulKey(curvePoint{X: in[0], Y: in[1]}, in[2:2+voucher.ChallengeBits])
		})},
		{"scalar times base: 83 digits of three bits, one of two", count(func(g gadgets, in []frontend.Variable) {
			g.points.Add(g.points.mulBase(in[:3*baseDigits]), g.points.topDigit(in[3*baseDigits:baseBits]))
		})},
		{"the scalar's bits", baseBits},
		{"the hash's bits, and that they are its own", 254 + 3},
		{"key from its eighth", count(func(g gadgets, in []frontend.Variable) { g.points.key(curvePoint{X: in[0], Y: in[1]}) })},
		{"amount and seconds: 160 bits", voucher.AmountBits + voucher.SecondsBits + 2},
		{"what is newly paid, or the lease id: 248 bits", voucher.LeaseIDBits},
	}
	total := 0
	for _, part := range parts {
		t.Logf("| %s | %d |", part.name, part.count)
		total += part.count
	}
	// Two windows, of which the path is the same: the difference is 56 slots and the path's three levels less.
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range Sizes {
		all := keys.BySize[size].Constraints
		above := Depth - heightOf(size)
		path := above*(2*compression+3) + 1
		perSlot := float64(all-path) / float64(size)
		t.Logf("| size %d | %d | of these %d for the path of %d | %.1f a slot beside it |", size, all, path, above, perSlot)
		if perSlot-float64(total) > 600 || perSlot < float64(total)-2*float64(compression) {
			t.Errorf("size %d: %.1f constraints a slot, of which %d are accounted for", size, perSlot, total)
		}
	}
	t.Logf("| flags, rules and words | the rest |")
	if total > 4000 {
		t.Errorf("the parts of a slot have %d constraints", total)
	}
}
