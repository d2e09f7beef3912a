package ledger

import (
	"github.com/consensys/gnark/frontend"
	gadget "github.com/consensys/gnark/std/algebra/native/twistededwards"

	"github.com/shale-cloud/shale/kernel/voucher"
)

// Circuit is the *update lease* batch of docs/protocol.md, section 4. It uses no commitment, so that its proof is
// the eight words of plain Groth16.
type Circuit struct {
	C frontend.Variable `gnark:",public"`
	R frontend.Variable `gnark:",public"`
	E frontend.Variable `gnark:",public"`

	Domain     frontend.Variable
	OldRoot    frontend.Variable
	Operations [Batch]Update
}

// Update is the witness of one operation. All words are zero in padding, but for a signature that holds.
type Update struct {
	Insert, Claim, Close   frontend.Variable
	Index                  frontend.Variable
	LeaseID                frontend.Variable
	KeyX, KeyY             frontend.Variable
	Deposit                frontend.Variable
	PrevAmount, Amount     frontend.Variable
	PrevSeconds, Seconds   frontend.Variable
	Path                   [Depth]frontend.Variable
	RX, RY, S              frontend.Variable
	KeyEighthX, KeyEighthY frontend.Variable // an eighth of the key that signs: see curve.assertKey
}

// Define implements frontend.Circuit.
func (c *Circuit) Define(api frontend.API) error {
	hash, err := newHasher(api)
	if err != nil {
		return err
	}
	points, err := newCurve(api)
	if err != nil {
		return err
	}
	g := gadgets{api, hash, points}

	root := c.OldRoot
	words := []frontend.Variable{c.Domain, c.OldRoot, nil}
	signed := hash.absorb(0, c.Domain)
	for i := range c.Operations {
		var packed []frontend.Variable
		root, packed = g.update(&c.Operations[i], root, signed)
		words = append(words, packed...)
	}
	words[2] = root

	api.AssertIsEqual(hash.absorb(0, words...), c.C)
	var sum frontend.Variable = 0
	for i := len(words) - 1; i >= 0; i-- {
		sum = api.Add(api.Mul(sum, c.R), words[i])
	}
	api.AssertIsEqual(sum, c.E)
	return nil
}

type gadgets struct {
	api    frontend.API
	hash   hasher
	points curve
}

// update holds one operation to its rules and returns the root after it, and its words of the batch data. signed is
// the state of the signed message's hash after the domain.
func (g gadgets) update(u *Update, root, signed frontend.Variable) (frontend.Variable, []frontend.Variable) {
	api := g.api
	api.AssertIsBoolean(u.Insert)
	api.AssertIsBoolean(u.Claim)
	api.AssertIsBoolean(u.Close)
	idle := api.Mul(api.Sub(1, u.Insert), api.Sub(1, u.Claim), api.Sub(1, u.Close))

	place := g.ranges(u)
	g.payment(u)
	g.signature(u, signed)

	oldLeaf, newLeaf := g.leaves(u)
	oldRoot, newRoot := g.roots(u, place, oldLeaf, newLeaf)
	// In padding no path is checked and the root stays.
	api.AssertIsEqual(api.Mul(api.Sub(1, idle), api.Sub(oldRoot, root)), 0)
	after := api.Select(idle, root, newRoot)

	words := g.words(u)
	// Words pack range-checked fields that don't overlap, so that a word is zero only if all of them are. The key's words
	// are zero already where nothing is inserted.
	for _, w := range words[:3] {
		api.AssertIsEqual(api.Mul(idle, w), 0)
	}
	return after, words
}

// ranges holds every field to its width, and returns the bits of the index.
func (g gadgets) ranges(u *Update) []frontend.Variable {
	for _, amount := range []frontend.Variable{u.Deposit, u.PrevAmount, u.Amount} {
		assertBits(g.api, amount, voucher.AmountBits)
	}
	for _, seconds := range []frontend.Variable{u.PrevSeconds, u.Seconds} {
		assertBits(g.api, seconds, secondsBits)
	}
	assertBits(g.api, u.LeaseID, voucher.LeaseIDBits)
	return assertBits(g.api, u.Index, Depth)
}

// payment holds prevAmount ≤ amount ≤ deposit and prevSeconds ≤ seconds: both sides are in range, so a difference that
// is in range too didn't wrap around the field.
func (g gadgets) payment(u *Update) {
	api := g.api
	paid, served := api.Sub(u.Amount, u.PrevAmount), api.Sub(u.Seconds, u.PrevSeconds)
	assertBits(api, paid, voucher.AmountBits)
	assertBits(api, served, secondsBits)
	assertBits(api, api.Sub(u.Deposit, u.Amount), voucher.AmountBits)

	// The two fields of each sum don't overlap, so that it is zero only if both are.
	before := shifted(api, []frontend.Variable{u.PrevAmount, u.PrevSeconds}, []uint{0, voucher.AmountBits})
	api.AssertIsEqual(api.Mul(u.Insert, before), 0)
	moved := shifted(api, []frontend.Variable{paid, served}, []uint{0, voucher.AmountBits})
	api.AssertIsEqual(api.Mul(api.Sub(1, u.Claim), moved), 0)
}

// signature holds the voucher's signature under the lease's key. Without a claim the key is the curve's base point, whose
// secret is one, and everybody can sign: so the same constraints hold in every operation.
func (g gadgets) signature(u *Update, signed frontend.Variable) {
	api := g.api
	base := g.points.base()
	key := gadget.Point{
		X: api.Select(u.Claim, u.KeyX, base.X),
		Y: api.Select(u.Claim, u.KeyY, base.Y),
	}
	g.points.assertKey(key, gadget.Point{X: u.KeyEighthX, Y: u.KeyEighthY})

	message := g.hash.absorb(signed, u.LeaseID, u.Amount, u.Seconds)
	challenge := g.hash.absorb(0, u.RX, u.RY, key.X, key.Y, message)
	g.points.assertSignature(key, gadget.Point{X: u.RX, Y: u.RY}, u.S, challenge)
}

// leaves returns the leaf before, zero on insert, and after, zero on close.
func (g gadgets) leaves(u *Update) (before, after frontend.Variable) {
	lease := g.hash.absorb(0, u.LeaseID, u.KeyX, u.KeyY, u.Deposit)
	before = g.hash.absorb(lease, u.PrevAmount, u.PrevSeconds)
	after = g.hash.absorb(lease, u.Amount, u.Seconds)
	return g.api.Mul(g.api.Sub(1, u.Insert), before), g.api.Mul(g.api.Sub(1, u.Close), after)
}

// roots climbs from both leaves along the one path.
func (g gadgets) roots(u *Update, place []frontend.Variable, oldLeaf, newLeaf frontend.Variable) (before, after frontend.Variable) {
	before, after = oldLeaf, newLeaf
	for height, sibling := range u.Path {
		before = g.parent(place[height], before, sibling)
		after = g.parent(place[height], after, sibling)
	}
	return before, after
}

// parent puts node on the right if right is one, else on the left.
func (g gadgets) parent(right, node, sibling frontend.Variable) frontend.Variable {
	swap := g.api.Mul(right, g.api.Sub(sibling, node))
	return g.hash.compress(g.api.Add(node, swap), g.api.Sub(sibling, swap))
}

func (g gadgets) words(u *Update) []frontend.Variable {
	api := g.api
	flags := api.Add(api.Mul(flagInsert, u.Insert), api.Mul(flagClaim, u.Claim), api.Mul(flagClose, u.Close))
	return []frontend.Variable{
		u.LeaseID,
		shifted(api, []frontend.Variable{u.Index, flags, u.Seconds, u.Deposit}, []uint{0, flagsShift, secondsShift, depositShift}),
		shifted(api, []frontend.Variable{u.Amount, u.PrevAmount}, []uint{0, prevAmountShift}),
		api.Mul(u.Insert, u.KeyX),
		api.Mul(u.Insert, u.KeyY),
	}
}
