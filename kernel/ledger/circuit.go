package ledger

import (
	"github.com/consensys/gnark/frontend"

	"github.com/shale-cloud/shale/kernel/voucher"
)

// Circuit is the window circuit of docs/protocol.md, section 4, for one size. It uses no commitment, so that its proof is
// the eight words of plain Groth16.
type Circuit struct {
	C frontend.Variable `gnark:",public"`
	R frontend.Variable `gnark:",public"`
	E frontend.Variable `gnark:",public"`

	Domain     frontend.Variable
	Window     frontend.Variable
	WindowBits []frontend.Variable // least significant first
	Path       []frontend.Variable // siblings from the window's subtree up to below the root
	Earned     frontend.Variable
	Slots      []Slot
}

// Slot is the witness of one place of the window.
type Slot struct {
	Insert, Claim, Close frontend.Variable
	LeaseID              frontend.Variable
	KeyX, KeyY           frontend.Variable
	Amount, Seconds      frontend.Variable
	Kept                 frontend.Variable // the leaf of an untouched slot

	AmountBits  [voucher.AmountBits]frontend.Variable
	SecondsBits [voucher.SecondsBits]frontend.Variable
	// On insert the lease id's bits; else those of what is newly paid and served, one behind the other.
	Checked [voucher.LeaseIDBits]frontend.Variable

	Signature SlotSignature
}

// NewCircuit is the empty circuit of a size.
func NewCircuit(size int) *Circuit {
	above := Depth - heightOf(size)
	return &Circuit{
		WindowBits: make([]frontend.Variable, above),
		Path:       make([]frontend.Variable, above),
		Slots:      make([]Slot, size),
	}
}

// A rule is a group of constraints, by name: what tests take away one at a time, to see that it was needed.
type rule string

const (
	ruleFlags      rule = "flags are bits"
	ruleWindowBits rule = "the window's bits are bits"
	ruleWindow     rule = "the window's bits are the window's"
	ruleEarned     rule = "earned is the sum of what is newly paid"
	ruleAmountBits rule = "the amount's bits are bits"
	ruleAmount     rule = "the amount's bits are the amount's"
	ruleSecondBits rule = "the seconds' bits are bits"
	ruleSeconds    rule = "the seconds' bits are the seconds'"
	ruleChecked    rule = "the checked bits are bits"
	ruleLeaseID    rule = "an inserted lease id has 248 bits"
	ruleNoClaim    rule = "without a claim nothing moves"
	ruleIdleID     rule = "an untouched slot has no lease id"
	ruleIdlePaid   rule = "an untouched slot has neither amount nor seconds"
	ruleC          rule = "c is the hash of the batch"
	ruleE          rule = "e is the polynomial of the words at r"
)

// Define implements frontend.Circuit.
func (c *Circuit) Define(api frontend.API) error { return c.define(api, "") }

func (c *Circuit) define(api frontend.API, without rule) error {
	hash, err := newHasher(api)
	if err != nil {
		return err
	}
	points, err := newCurve(api, without)
	if err != nil {
		return err
	}
	g := gadgets{api, hash, points, without}

	before, after := make([]frontend.Variable, len(c.Slots)), make([]frontend.Variable, len(c.Slots))
	words := []frontend.Variable{c.Domain, nil, nil, nil}
	bound := []frontend.Variable{nil, nil, nil}
	var flags []frontend.Variable
	var earned frontend.Variable = 0
	for i := range c.Slots {
		moved := g.slot(&c.Slots[i], c.Domain)
		before[i], after[i] = moved.before, moved.after
		words = append(words, moved.words[:]...)
		bound = append(bound, moved.bound)
		flags = append(flags, moved.flags)
		earned = api.Add(earned, moved.earned)
	}
	words[1], words[2] = g.roots(c, g.subtree(before), g.subtree(after))
	g.equal(ruleEarned, earned, c.Earned)
	words[3] = shifted(api, []frontend.Variable{c.Window, c.Earned}, []uint{0, earnedShift})

	copy(bound, words[1:headWords])
	bound = append(bound, packedFlags(api, flags)...)
	g.equal(ruleC, hash.absorb(c.Domain, bound...), c.C)
	var sum frontend.Variable = 0
	for i := len(words) - 1; i >= 0; i-- {
		sum = api.Add(api.Mul(sum, c.R), words[i])
	}
	g.equal(ruleE, sum, c.E)
	return nil
}

type gadgets struct {
	api     frontend.API
	hash    hasher
	points  curve
	without rule
}

// move is what a slot gives to its batch.
type move struct {
	before, after frontend.Variable // the slot's leaf
	words         [slotWords]frontend.Variable
	bound         frontend.Variable // binds every field that the words are made of, but for the flags
	flags         frontend.Variable
	earned        frontend.Variable
}

// slot holds one slot to its rules.
func (g gadgets) slot(s *Slot, domain frontend.Variable) move {
	api := g.api
	for _, flag := range []frontend.Variable{s.Insert, s.Claim, s.Close} {
		g.bits(ruleFlags, flag)
	}
	flags := api.Add(api.Mul(flagInsert, s.Insert), api.Mul(flagClaim, s.Claim), api.Mul(flagClose, s.Close))
	idle := api.Mul(api.Sub(1, s.Insert), api.Sub(1, s.Claim), api.Sub(1, s.Close))

	prevAmount, prevSeconds := g.payment(s)
	lease := g.hash.absorb(s.LeaseID, s.KeyX, s.KeyY)
	was := g.hash.compress(lease, paidWord(api, prevAmount, prevSeconds))
	is := g.hash.compress(lease, paidWord(api, s.Amount, s.Seconds))
	g.points.assertVoucher(s, g.hash.compress(domain, is), g.hash)

	// An untouched slot keeps its leaf, whatever it is.
	kept := api.Mul(idle, s.Kept)
	before := api.Add(kept, api.Mul(api.Sub(1, idle, s.Insert), was))
	after := api.Add(kept, api.Mul(api.Sub(1, idle, s.Close), is))

	// The words pack fields that don't overlap, so that a word is zero only if all of them are. The key's words are zero
	// already where nothing is inserted.
	paid := shifted(api, []frontend.Variable{s.Amount, s.Seconds}, []uint{0, secondsShift})
	g.zero(ruleIdleID, idle, s.LeaseID)
	g.zero(ruleIdlePaid, idle, paid)
	return move{
		before: before, after: after, bound: is, flags: flags,
		earned: api.Sub(s.Amount, prevAmount),
		words: [slotWords]frontend.Variable{
			shifted(api, []frontend.Variable{s.LeaseID, flags}, []uint{0, flagsShift}),
			paid,
			api.Mul(s.Insert, s.KeyX),
			api.Mul(s.Insert, s.KeyY),
		},
	}
}

// payment holds amount and seconds to their widths, and returns what they were before: zero on insert, else less by what
// the checked bits say, which can't be negative. That the difference of two amounts is in range doesn't make the
// earlier one a number above zero: the gap in the leaf's word does, which the one that was stored has to fit.
func (g gadgets) payment(s *Slot) (prevAmount, prevSeconds frontend.Variable) {
	api := g.api
	g.bits(ruleAmountBits, s.AmountBits[:]...)
	g.equal(ruleAmount, g.number(s.AmountBits[:]), s.Amount)
	g.bits(ruleSecondBits, s.SecondsBits[:]...)
	g.equal(ruleSeconds, g.number(s.SecondsBits[:]), s.Seconds)
	g.bits(ruleChecked, s.Checked[:]...)
	g.zero(ruleLeaseID, s.Insert, api.Sub(s.LeaseID, g.number(s.Checked[:])))

	paid := g.number(s.Checked[:voucher.AmountBits])
	served := g.number(s.Checked[voucher.AmountBits : voucher.AmountBits+voucher.SecondsBits])
	prevAmount = api.Mul(api.Sub(1, s.Insert), api.Sub(s.Amount, paid))
	prevSeconds = api.Mul(api.Sub(1, s.Insert), api.Sub(s.Seconds, served))
	// Both differences are in range, on insert too: the sum is zero only if both are.
	g.zero(ruleNoClaim, api.Sub(1, s.Claim), paidWord(api, api.Sub(s.Amount, prevAmount), api.Sub(s.Seconds, prevSeconds)))
	return prevAmount, prevSeconds
}

// subtree is the root over the slots' leaves.
func (g gadgets) subtree(nodes []frontend.Variable) frontend.Variable {
	for len(nodes) > 1 {
		parents := make([]frontend.Variable, len(nodes)/2)
		for i := range parents {
			parents[i] = g.hash.compress(nodes[2*i], nodes[2*i+1])
		}
		nodes = parents
	}
	return nodes[0]
}

// roots climbs from the window's subtree, before and after, along the one path.
func (g gadgets) roots(c *Circuit, before, after frontend.Variable) (oldRoot, newRoot frontend.Variable) {
	g.bits(ruleWindowBits, c.WindowBits...)
	g.equal(ruleWindow, g.number(c.WindowBits), c.Window)
	for height, sibling := range c.Path {
		before = g.parent(c.WindowBits[height], before, sibling)
		after = g.parent(c.WindowBits[height], after, sibling)
	}
	return before, after
}

// parent puts node on the right if right is one, else on the left.
func (g gadgets) parent(right, node, sibling frontend.Variable) frontend.Variable {
	swap := g.api.Mul(right, g.api.Sub(sibling, node))
	return g.hash.compress(g.api.Add(node, swap), g.api.Sub(sibling, swap))
}

func (g gadgets) bits(r rule, digits ...frontend.Variable) { assertBits(g.api, g.without, r, digits) }

func (g gadgets) number(digits []frontend.Variable) frontend.Variable { return number(g.api, digits) }

func (g gadgets) equal(r rule, a, b frontend.Variable) {
	if r != g.without {
		g.api.AssertIsEqual(a, b)
	}
}

func (g gadgets) zero(r rule, a, b frontend.Variable) {
	if r != g.without {
		g.api.AssertIsEqual(g.api.Mul(a, b), 0)
	}
}
