package ledger

import (
	"math/big"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"

	"github.com/shale-cloud/shale/kernel/voucher"
)

var compiled = sync.OnceValues(Compile)

func solve(t *testing.T, assignment *Circuit) error {
	t.Helper()
	system, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return isSolved(t, system, assignment)
}

func isSolved(t *testing.T, system constraint.ConstraintSystem, assignment frontend.Circuit) error {
	t.Helper()
	witness, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	return system.IsSolved(witness)
}

func TestHonestBatchesSatisfyTheCircuit(t *testing.T) {
	empty := []Leaf{}
	half := leaseOf(2).paid(500, 50)
	everything := leaseOf(2)
	everything.Amount, everything.Seconds = everything.Deposit, 1<<64-1
	for name, transition := range map[string]*Transition{
		"insert":                 applied(t, empty, inserted(leaseOf(0))),
		"claim":                  applied(t, []Leaf{leaseOf(1), half}, claimed(t, testDomain, 2, leaseOf(2).paid(501, 50))),
		"claim of the same":      applied(t, []Leaf{half}, claimed(t, testDomain, 2, half)),
		"claim of everything":    applied(t, []Leaf{half}, claimed(t, testDomain, 2, everything)),
		"close":                  applied(t, []Leaf{leaseOf(1), half}, closed(half)),
		"insert, claim, close":   applied(t, empty, with(claimed(t, testDomain, 2, half), func(o *Operation) { o.Insert, o.Close = true, true })),
		"a place used again":     applied(t, []Leaf{half}, closed(half), inserted(leaseOf(2))),
		"an invalid key, closed": applied(t, empty, with(inserted(leaseOf(0)), func(o *Operation) { o.Key, o.Close = voucher.Key{}, true })),
		"a full batch":           fullBatch(t),
	} {
		if err := solve(t, transition.assignment()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func fullBatch(t *testing.T) *Transition {
	t.Helper()
	_, leaves, operations := goldenBatches(t, testDomain)
	return applied(t, leaves[0], operations[0]...)
}

// forged packs steps as a cheating prover would: roots, paths and public inputs are consistent, and nothing is checked.
func forged(leaves []Leaf, steps ...step) *Transition {
	_, tree, err := plant(leaves)
	if err != nil {
		panic(err)
	}
	transition := &Transition{Domain: testDomain, OldRoot: tree.Root()}
	for i, s := range steps {
		s.path = tree.Path(s.Index)
		if s.Close {
			tree.Set(s.Index, fr.Element{})
		} else if s.flags() != 0 {
			tree.Set(s.Index, s.Leaf.Hash())
		}
		transition.steps[i] = s
	}
	transition.NewRoot = tree.Root()
	transition.pack()
	return transition
}

// claim is a step with the signature that the lease's secret makes, from the previous amount and seconds.
func claim(t *testing.T, i int, leaf Leaf, prevAmount int64, prevSeconds uint64) step {
	t.Helper()
	s := step{Operation: claimed(t, testDomain, i, leaf), prevAmount: big.NewInt(prevAmount), prevSeconds: prevSeconds}
	signature, ok := voucher.Parse(s.Signature)
	if !ok {
		t.Fatal("no signature")
	}
	s.signature = signature
	return s
}

func changed(s step, change func(*step)) step {
	change(&s)
	return s
}

func TestCheatingStepsDoNotSatisfyTheCircuit(t *testing.T) {
	held := leaseOf(2).paid(500, 50)
	leaves := []Leaf{leaseOf(1), held}
	next := leaseOf(2).paid(600, 60)
	honest := claim(t, 2, next, 500, 50)
	order := twistededwards.GetEdwardsCurve().Order
	above := next
	above.Amount = new(big.Int).Add(above.Deposit, big.NewInt(1))
	wide := leaseOf(3)
	wide.Deposit = new(big.Int).Lsh(big.NewInt(1), voucher.AmountBits)
	wide.Amount = new(big.Int).Rsh(wide.Deposit, 1)
	wideID := leaseOf(3)
	wideID.LeaseID.SetBigInt(new(big.Int).Lsh(big.NewInt(1), voucher.LeaseIDBits))
	if err := solve(t, forged(leaves, honest).assignment()); err != nil {
		t.Fatalf("the forger's tools cannot make an honest batch: %v", err)
	}

	for name, s := range map[string]step{
		"a voucher over another amount":    changed(honest, func(s *step) { s.Amount = big.NewInt(601) }),
		"a voucher over other seconds":     changed(honest, func(s *step) { s.Seconds++ }),
		"a voucher by another key":         claim(t, 1, next, 500, 50),
		"a lower amount":                   claim(t, 2, leaseOf(2).paid(499, 60), 500, 50),
		"fewer seconds":                    claim(t, 2, leaseOf(2).paid(600, 49), 500, 50),
		"an amount above the deposit":      claim(t, 2, above, 500, 50),
		"another previous amount":          claim(t, 2, next, 400, 50),
		"other previous seconds":           claim(t, 2, next, 500, 40),
		"another deposit":                  changed(honest, func(s *step) { s.Deposit = big.NewInt(5000) }),
		"another lease's place":            changed(honest, func(s *step) { s.Index = 1 }),
		"s plus the order":                 changed(honest, func(s *step) { s.signature.S = new(big.Int).Add(s.signature.S, &order) }),
		"r mirrored":                       changed(honest, func(s *step) { s.signature.R.Neg(&s.signature.R) }),
		"a move without a claim":           changed(honest, func(s *step) { s.Claim, s.Close = false, true }),
		"more seconds without a claim":     {Operation: closed(held.paid(500, 51)), prevAmount: big.NewInt(500), prevSeconds: 50},
		"an insert where a leaf is":        {Operation: inserted(leaseOf(2))},
		"an insert with an amount":         {Operation: inserted(leaseOf(3).paid(5, 0)), prevAmount: big.NewInt(5)},
		"an insert with seconds":           {Operation: inserted(leaseOf(3).paid(0, 5)), prevSeconds: 5},
		"an insert of a deposit too wide":  changed(claim(t, 3, wide, 0, 0), func(s *step) { s.Insert = true }),
		"an insert of a lease id too wide": {Operation: inserted(wideID)},
		"a close of an empty place":        {Operation: closed(leaseOf(3))},
	} {
		if solve(t, forged(leaves, s).assignment()) == nil {
			t.Errorf("%s satisfies the circuit", name)
		}
	}
}

// With a key of the wrong kind anyone signs: these signatures hold by the equation, so only the check of the key refuses.
func TestKeysOutsideTheSubgroupDoNotSatisfyTheCircuit(t *testing.T) {
	params := twistededwards.GetEdwardsCurve()
	torsion := twistededwards.PointAffine{}
	torsion.Y.SetOne()
	identity := torsion
	torsion.Y.Neg(&torsion.Y)
	honest := leaseOf(2).Key.Point()
	var mixed twistededwards.PointAffine
	mixed.Add(&honest, &torsion)

	for name, point := range map[string]twistededwards.PointAffine{"identity": identity, "order two": torsion, "torsion added": mixed} {
		leaf := leaseOf(2)
		leaf.Key = voucher.Key{X: point.X, Y: point.Y}
		claimed := leaf.paid(9, 9)
		message := voucher.Voucher{Domain: testDomain, LeaseID: leaf.LeaseID, Amount: claimed.Amount, Seconds: 9}.Message()
		secret := new(big.Int)
		if name == "torsion added" {
			secret = scalarOf(2)
		}
		s := step{Operation: Operation{Leaf: claimed, Claim: true}}
		for nonce := int64(1); ; nonce++ {
			s.signature.R.ScalarMultiplicationBase(big.NewInt(nonce))
			challenge := voucher.Challenge(s.signature.R, leaf.Key, message)
			h := challenge.BigInt(new(big.Int))
			s.signature.S = new(big.Int).Mul(h, secret)
			s.signature.S.Add(s.signature.S, big.NewInt(nonce)).Mod(s.signature.S, &params.Order)
			if h.Bit(0) == 0 { // an even challenge takes the torsion away
				break
			}
		}
		if solve(t, forged([]Leaf{leaf}, s).assignment()) == nil {
			t.Errorf("a key of kind %q satisfies the circuit", name)
		}
	}
}

func TestTamperedWitnessesDoNotSatisfyTheCircuit(t *testing.T) {
	for name, tamper := range map[string]func(c *Circuit){
		"c":                      func(c *Circuit) { c.C = plusOne(c.C) },
		"r":                      func(c *Circuit) { c.R = plusOne(c.R) },
		"e":                      func(c *Circuit) { c.E = plusOne(c.E) },
		"the domain":             func(c *Circuit) { c.Domain = plusOne(c.Domain) },
		"the old root":           func(c *Circuit) { c.OldRoot = plusOne(c.OldRoot) },
		"a sibling":              func(c *Circuit) { c.Operations[0].Path[7] = 1 },
		"the index":              func(c *Circuit) { c.Operations[0].Index = 3 },
		"an index too wide":      func(c *Circuit) { c.Operations[0].Index = 1 << Depth },
		"a flag of two":          func(c *Circuit) { c.Operations[0].Claim = 2 },
		"padding with a lease":   func(c *Circuit) { c.Operations[1].LeaseID = 1 },
		"padding with a deposit": func(c *Circuit) { c.Operations[1].Deposit = 1 },
		"padding with an amount": func(c *Circuit) {
			c.Operations[1].Amount, c.Operations[1].PrevAmount, c.Operations[1].Deposit = 1, 1, 1
		},
		"padding with an index": func(c *Circuit) { c.Operations[1].Index = 1 },
	} {
		leaf := leaseOf(2)
		assignment := applied(t, []Leaf{leaf}, claimed(t, testDomain, 2, leaf.paid(5, 5))).assignment()
		tamper(assignment)
		if solve(t, assignment) == nil {
			t.Errorf("%s can be tampered with", name)
		}
	}
}

// Words that a cheating prover fits to the fields of padding must fail by the rule of padding, not only by c and e.
func TestPaddingCarriesNothing(t *testing.T) {
	leaf := leaseOf(2)
	transition := applied(t, []Leaf{leaf}, claimed(t, testDomain, 2, leaf.paid(5, 5)))
	transition.steps[1].LeaseID = wordOf(1)
	transition.Words[headWords+operationWords] = wordOf(1)
	transition.Inputs = Compress(transition.Words)
	// The signature of padding is over its lease id: assignment signs anew.
	if solve(t, transition.assignment()) == nil {
		t.Fatal("padding can carry a lease id")
	}
}

// A flag of two would write the leaf's hash times minus one, under flags that no contract reads as a close.
func TestFlagsAreBits(t *testing.T) {
	leaf := leaseOf(2)
	next := leaf.paid(5, 5)
	transition := forged([]Leaf{leaf}, claim(t, 2, next, 0, 0))
	_, tree, err := plant([]Leaf{leaf})
	if err != nil {
		t.Fatal(err)
	}
	hash := next.Hash()
	tree.Set(leaf.Index, *hash.Neg(&hash))
	transition.NewRoot = tree.Root()
	transition.Words[2] = transition.NewRoot
	more := wordOf(2 * flagClose << flagsShift)
	transition.Words[headWords+1].Add(&transition.Words[headWords+1], &more)
	transition.Inputs = Compress(transition.Words)
	assignment := transition.assignment()
	assignment.Operations[0].Close = 2
	if solve(t, assignment) == nil {
		t.Fatal("a flag can be two")
	}
}

func plusOne(v frontend.Variable) frontend.Variable {
	word := v.(fr.Element)
	one := wordOf(1)
	return *word.Add(&word, &one)
}
