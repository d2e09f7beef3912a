package ledger

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"golang.org/x/crypto/blake2b"

	"github.com/shale-cloud/shale/kernel/voucher"
)

// A forger computes what the circuit computes, over any field elements and without a check: whatever the rules allow
// it finds a full witness for, in a batch of one slot.
type forger struct {
	window     uint32
	windowBits []fr.Element
	path       []fr.Element

	insert, claim, close fr.Element
	leaseID              fr.Element
	key                  voucher.Key
	amount, seconds      fr.Element
	amountBits           []fr.Element
	secondsBits          []fr.Element
	checked              []fr.Element
	kept                 fr.Element
	earned               *fr.Element // if it isn't what was paid
	windowWord           *fr.Element // if it isn't the window

	sign func(f *forger, message fr.Element) SlotSignature
}

// newForger has a claim ready on lease 2, which moves from 500 and 50 to 600 and 60 in a tree with two other leases.
func newForger() *forger {
	f := &forger{window: 2, claim: one(), leaseID: leaseOf(2).LeaseID, key: leaseOf(2).Key}
	f.windowBits = digitsOf(big.NewInt(2), Depth)
	_, tree, err := plant(forgedLeaves())
	if err != nil {
		panic(err)
	}
	f.path = tree.Path(0, f.window)
	f.pays(big.NewInt(600), big.NewInt(60))
	f.moves(big.NewInt(100), big.NewInt(10))
	f.sign = signedBy(scalarOf(2))
	return f
}

func forgedLeaves() []Leaf {
	return []Leaf{leaseOf(1), leaseOf(2).paid(500, 50), leaseOf(3).paid(7, 7)}
}

// pays sets amount and seconds, and what of their bits fits.
func (f *forger) pays(amount, seconds *big.Int) {
	f.amount, f.seconds = elementOf(amount), elementOf(seconds)
	f.amountBits, f.secondsBits = digitsOf(amount, voucher.AmountBits), digitsOf(seconds, voucher.SecondsBits)
}

// moves sets the checked bits to what is newly paid and served.
func (f *forger) moves(paid, served *big.Int) {
	f.checked = digitsOf(new(big.Int).Add(paid, new(big.Int).Lsh(served, voucher.AmountBits)), voucher.LeaseIDBits)
}

// inserts turns the slot into an insert at place 4, which is empty, of lease 4, without a claim.
func (f *forger) inserts(t *testing.T) {
	t.Helper()
	f.at(4)
	f.insert, f.claim = one(), fr.Element{}
	f.leaseID, f.key = leaseOf(4).LeaseID, leaseOf(4).Key
	f.pays(new(big.Int), new(big.Int))
	f.checked = digitsOf(f.leaseID.BigInt(new(big.Int)), voucher.LeaseIDBits)
	f.sign = signedBy(big.NewInt(1))
}

// at moves the slot to another place of the tree.
func (f *forger) at(window uint32) {
	_, tree, err := plant(forgedLeaves())
	if err != nil {
		panic(err)
	}
	f.window, f.windowBits, f.path = window, digitsOf(big.NewInt(int64(window)), Depth), tree.Path(0, window)
}

// forgedBatch is a batch that the forger has a witness for.
type forgedBatch struct {
	*Circuit
	oldRoot, newRoot fr.Element
	words            []fr.Element
}

// batch computes the witness.
func (f *forger) batch() forgedBatch {
	one := one()
	var idle, factor fr.Element
	idle.Sub(&one, &f.insert)
	idle.Mul(&idle, factor.Sub(&one, &f.claim))
	idle.Mul(&idle, factor.Sub(&one, &f.close))

	prevAmount := f.before(f.amount, f.checked[:voucher.AmountBits])
	prevSeconds := f.before(f.seconds, f.checked[voucher.AmountBits:voucher.AmountBits+voucher.SecondsBits])
	was := voucher.Hash(f.leaseID, f.key.X, f.key.Y, paidElement(prevAmount, prevSeconds, voucher.SecondsShift))
	is := voucher.Hash(f.leaseID, f.key.X, f.key.Y, paidElement(f.amount, f.seconds, voucher.SecondsShift))

	var kept, before, after fr.Element
	kept.Mul(&idle, &f.kept)
	before.Sub(&one, &idle).Sub(&before, &f.insert).Mul(&before, &was).Add(&before, &kept)
	after.Sub(&one, &idle).Sub(&after, &f.close).Mul(&after, &is).Add(&after, &kept)

	b := forgedBatch{Circuit: NewCircuit(1), oldRoot: f.climb(before), newRoot: f.climb(after)}
	var earned fr.Element
	earned.Sub(&f.amount, &prevAmount)
	if f.earned != nil {
		earned = *f.earned
	}
	window := wordOf(uint64(f.window))
	if f.windowWord != nil {
		window = *f.windowWord
	}
	var flags, twice, four fr.Element
	twice.Double(&f.claim)
	four.Double(&f.close).Double(&four)
	flags.Add(&f.insert, &twice).Add(&flags, &four)

	b.words = []fr.Element{
		testDomain, b.oldRoot, b.newRoot, paidElement(window, earned, earnedShift),
		paidElement(f.leaseID, flags, flagsShift), paidElement(f.amount, f.seconds, secondsShift), {}, {},
	}
	b.words[6].Mul(&f.insert, &f.key.X)
	b.words[7].Mul(&f.insert, &f.key.Y)
	b.Domain, b.Window, b.Earned = testDomain, window, earned
	set(b.WindowBits, f.windowBits)
	set(b.Path, f.path)
	slot := &b.Slots[0]
	slot.Insert, slot.Claim, slot.Close = f.insert, f.claim, f.close
	slot.LeaseID, slot.KeyX, slot.KeyY = f.leaseID, f.key.X, f.key.Y
	slot.Amount, slot.Seconds, slot.Kept = f.amount, f.seconds, f.kept
	set(slot.AmountBits[:], f.amountBits)
	set(slot.SecondsBits[:], f.secondsBits)
	set(slot.Checked[:], f.checked)
	slot.Signature = f.sign(f, voucher.Compress(testDomain, is))
	b.bind(voucher.Hash(b.words[0], b.words[1], b.words[2], b.words[3], is, flags))
	return b
}

// bind sets the public inputs to those that a contract computes from the words.
func (b *forgedBatch) bind(c fr.Element) {
	inputs := inputsOf(b.words, c)
	b.C, b.R, b.E = inputs.C, inputs.R, inputs.E
}

// before is (1 - insert)·(now - Σ bits).
func (f *forger) before(now fr.Element, bits []fr.Element) (previous fr.Element) {
	one := one()
	moved := sumOf(bits)
	previous.Sub(&one, &f.insert)
	return *previous.Mul(&previous, now.Sub(&now, &moved))
}

func (f *forger) climb(node fr.Element) fr.Element {
	for height, sibling := range f.path {
		var swap, left, right fr.Element
		swap.Sub(&sibling, &node).Mul(&swap, &f.windowBits[height])
		node = voucher.Compress(*left.Add(&node, &swap), *right.Sub(&sibling, &swap))
	}
	return node
}

// signedBy signs honestly with a scalar, whose key it shows as the one that signs.
func signedBy(secret *big.Int) func(*forger, fr.Element) SlotSignature {
	return func(_ *forger, message fr.Element) SlotSignature {
		return signedWith(secret, keyOf(secret), message, func(voucher.Signature, fr.Element) bool { return true })
	}
}

// signedWith tries nonces until one gives a signature that is wanted.
func signedWith(secret *big.Int, key voucher.Key, message fr.Element, wanted func(s voucher.Signature, hash fr.Element) bool) SlotSignature {
	order := twistededwards.GetEdwardsCurve().Order
	for nonce := big.NewInt(1); ; nonce.Add(nonce, big.NewInt(1)) {
		var r twistededwards.PointAffine
		r.ScalarMultiplicationBase(nonce)
		challenge, ok := voucher.Challenge(message, r.X)
		if !ok {
			continue
		}
		s := challenge.Mul(challenge, secret)
		signature := voucher.Signature{RX: r.X, S: s.Add(s, nonce).Mod(s, &order)}
		if wanted(signature, voucher.Compress(message, r.X)) {
			return signatureWitness(key, signature, message)
		}
	}
}

func keyOf(secret *big.Int) voucher.Key {
	var point twistededwards.PointAffine
	point.ScalarMultiplicationBase(secret)
	return voucher.Key{X: point.X, Y: point.Y}
}

// scalarOf is the secret scalar of lease i's key, derived from the seed as RFC 8032 does.
func scalarOf(i int) *big.Int {
	seed := secretOf(i)
	expanded := blake2b.Sum512(seed[:])
	expanded[0] &= 0xF8
	expanded[31] = expanded[31]&0x7F | 0x40
	var bigEndian [32]byte
	for j := range bigEndian {
		bigEndian[j] = expanded[31-j]
	}
	return new(big.Int).SetBytes(bigEndian[:])
}

// broken is the circuit without one of its rules.
type broken struct {
	Circuit
	without rule `gnark:"-"`
}

func (b *broken) Define(api frontend.API) error { return b.define(api, b.without) }

func compiledWithout(t *testing.T, r rule) constraint.ConstraintSystem {
	t.Helper()
	return compileOther(t, &broken{*NewCircuit(1), r})
}

func compileOther(t *testing.T, circuit frontend.Circuit) constraint.ConstraintSystem {
	t.Helper()
	system, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, circuit)
	if err != nil {
		t.Fatal(err)
	}
	return system
}

func isSolved(t *testing.T, system constraint.ConstraintSystem, assignment frontend.Circuit) error {
	t.Helper()
	witness, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	return system.IsSolved(witness)
}

func one() fr.Element { return fr.One() }

func elementOf(n *big.Int) (w fr.Element) {
	w.SetBigInt(n)
	return w
}

// paidElement is low + high·2^shift in the field.
func paidElement(low, high fr.Element, shift uint) fr.Element {
	factor := elementOf(new(big.Int).Lsh(big.NewInt(1), shift))
	return *high.Mul(&high, &factor).Add(&high, &low)
}

func digitsOf(n *big.Int, size int) []fr.Element {
	digits := make([]fr.Element, size)
	for i := range digits {
		digits[i] = wordOf(uint64(n.Bit(i)))
	}
	return digits
}

func sumOf(digits []fr.Element) (sum fr.Element) {
	for i := len(digits) - 1; i >= 0; i-- {
		sum.Double(&sum).Add(&sum, &digits[i])
	}
	return sum
}

func set(to []frontend.Variable, from []fr.Element) {
	for i, element := range from {
		to[i] = element
	}
}
