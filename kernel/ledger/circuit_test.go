package ledger

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint"

	"github.com/shale-cloud/shale/kernel/voucher"
)

func compiledSize(t *testing.T, size int) constraint.ConstraintSystem {
	t.Helper()
	system, err := Compile(size)
	if err != nil {
		t.Fatal(err)
	}
	return system
}

func TestHonestBatchesSatisfyTheCircuit(t *testing.T) {
	half := leaseOf(2).paid(500, 50)
	everything := leaseOf(2)
	everything.Amount, everything.Seconds = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 96), big.NewInt(1)), 1<<64-1
	everyFlag := func(o *Operation) { o.Insert, o.Close = true, true }
	system := compiledSize(t, 8)
	for name, transition := range map[string]*Transition{
		"insert":                 applied(t, nil, inserted(leaseOf(0))),
		"claim":                  applied(t, []Leaf{leaseOf(1), half}, claimed(t, testDomain, 2, leaseOf(2).paid(501, 50))),
		"claim of the same":      applied(t, []Leaf{half}, claimed(t, testDomain, 2, half)),
		"claim of the most":      applied(t, []Leaf{half}, claimed(t, testDomain, 2, everything)),
		"close":                  applied(t, []Leaf{leaseOf(1), half}, closed(half)),
		"insert, claim, close":   applied(t, nil, with(claimed(t, testDomain, 2, half), everyFlag)),
		"an invalid key, closed": applied(t, nil, with(inserted(leaseOf(0)), func(o *Operation) { o.Key, o.Close = voucher.Key{}, true })),
	} {
		if err := isSolved(t, system, transition.assignment()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The native model and the circuit move the same batches the same way, at random.
func TestModelAndCircuitAgreeOnRandomBatches(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, size := range []int{1, 8} {
		system := compiledSize(t, size)
		windows := 16 / size
		held := map[uint32]Leaf{}
		for range 24 {
			window := uint32(random.IntN(windows))
			var operations []Operation
			for slot := range uint32(size) {
				if operation, ok := randomOperation(t, random, held, window*uint32(size)+slot); ok {
					operations = append(operations, operation)
				}
			}
			if len(operations) == 0 {
				continue
			}
			random.Shuffle(len(operations), func(i, j int) { operations[i], operations[j] = operations[j], operations[i] })
			transition, err := Apply(testDomain, size, window, leavesIn(held), operations)
			if err != nil {
				t.Fatal(err)
			}
			if err := isSolved(t, system, transition.assignment()); err != nil {
				t.Fatalf("size %d, window %d, %d operations: %v", size, window, len(operations), err)
			}
			for _, o := range operations {
				held[o.Index] = o.Leaf
				if o.Close {
					delete(held, o.Index)
				}
			}
			if left, err := RootOf(leavesIn(held)); err != nil || left != transition.NewRoot {
				t.Fatalf("the new root is not that of the leaves that are left: %v", err)
			}
		}
	}
}

func leavesIn(held map[uint32]Leaf) (leaves []Leaf) {
	for _, leaf := range held {
		leaves = append(leaves, leaf)
	}
	return leaves
}

func randomOperation(t *testing.T, random *rand.Rand, held map[uint32]Leaf, index uint32) (Operation, bool) {
	t.Helper()
	leaf, taken := held[index]
	insert := !taken
	claim, doesClose := random.IntN(2) == 0, random.IntN(3) == 0
	if random.IntN(4) == 0 || (taken && !claim && !doesClose) {
		return Operation{}, false
	}
	if insert {
		leaf = leaseOf(int(index))
	}
	if claim {
		leaf = leaf.paid(amountOf(leaf.Amount).Int64()+random.Int64N(1000), leaf.Seconds+random.Uint64N(1000))
	}
	operation := Operation{Leaf: leaf}
	if claim {
		operation = claimed(t, testDomain, int(index), leaf)
	}
	operation.Insert, operation.Close = insert, doesClose
	return operation, true
}

func TestEveryRuleHasACheatThatItAloneRefuses(t *testing.T) {
	var covered []string
	for _, c := range append(cheats(), signatureCheats()...) {
		covered = append(covered, string(c.rule))
	}
	for _, name := range rulesIn(t) {
		if !slices.Contains(covered, name) {
			t.Errorf("no cheat shows that %q is needed", name)
		}
	}
}

// rulesIn reads the rules out of the source.
func rulesIn(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("circuit*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "rule" {
				literal := spec.Values[0].(*ast.BasicLit).Value
				names = append(names, literal[1:len(literal)-1])
			}
			return true
		})
	}
	if len(names) < 20 {
		t.Fatalf("only %d rules were found", len(names))
	}
	return names
}

// These start from a leaf that isn't there: their old root is another one than the ledger's, and the words that the contract
// has are the ledger's.
func TestSlotsThatOpenAnotherLeafAreRefused(t *testing.T) {
	system := compiledWithout(t, "")
	honest, err := RootOf(forgedLeaves())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(f *forger){
		"another previous amount": func(f *forger) { f.moves(big.NewInt(200), big.NewInt(10)) },
		"other previous seconds":  func(f *forger) { f.moves(big.NewInt(100), big.NewInt(20)) },
		"another lease's place":   func(f *forger) { f.at(3) },
		"another lease's id":      func(f *forger) { f.leaseID = leaseOf(3).LeaseID },
		"another lease's key":     func(f *forger) { f.key, f.sign = leaseOf(3).Key, signedBy(scalarOf(3)) },
		"another provider's path": func(f *forger) { f.path[7] = wordOf(1) },
		"an empty place":          func(f *forger) { f.at(4) },
		"an insert over a leaf": func(f *forger) {
			f.inserts(t)
			f.at(2)
		},
		"an insert with an earlier amount": func(f *forger) {
			f.inserts(t)
			f.insert, f.claim, f.sign = fr.Element{}, one(), signedBy(scalarOf(4))
		},
		"an untouched slot with another leaf": func(f *forger) {
			f.untouched()
			f.kept = wordOf(1)
		},
	} {
		f := newForger()
		change(f)
		batch := f.batch()
		if batch.oldRoot == honest {
			t.Fatalf("%s: the old root is the honest one", name)
		}
		slot := batch.Slots[0]
		is := voucher.Voucher{LeaseID: f.leaseID, Amount: f.amount.BigInt(new(big.Int)), Seconds: f.seconds.Uint64()}.Leaf(f.key)
		flags := slot.Insert.(fr.Element)
		for weight, flag := range []any{slot.Claim, slot.Close} {
			var term fr.Element
			factor, value := wordOf(uint64(flagClaim<<weight)), flag.(fr.Element)
			flags.Add(&flags, term.Mul(&factor, &value))
		}
		batch.bind(voucher.Hash(batch.words[0], batch.words[1], batch.words[2], batch.words[3], is, flags))
		if err := isSolved(t, system, &broken{*batch.Circuit, ""}); err != nil {
			t.Fatalf("%s: the forger has no witness even for its own root: %v", name, err)
		}
		batch.words[1] = honest
		batch.bind(voucher.Hash(batch.words[0], batch.words[1], batch.words[2], batch.words[3], is, flags))
		if isSolved(t, system, &broken{*batch.Circuit, ""}) == nil {
			t.Errorf("%s satisfies the circuit", name)
		}
	}
}

// A batch that was settled has moved the root: its proof is for words with the root before.
func TestReplayedBatchHasAnotherRoot(t *testing.T) {
	leaves := []Leaf{leaseOf(2).paid(500, 50)}
	next := leaseOf(2).paid(600, 60)
	first := applied(t, leaves, claimed(t, testDomain, 2, next))
	words := slices.Clone(first.Words)
	words[1] = first.NewRoot
	if replay := inputsOf(words, first.Inputs.C); replay.E == first.Inputs.E || replay.R == first.Inputs.R {
		t.Fatal("the same inputs after the root has moved")
	}
}

// With a key of the wrong kind anyone signs: these signatures hold by the equation, so only the check of the key refuses.
func TestLowOrderKeysDoNotSatisfyTheCircuit(t *testing.T) {
	system := compiledWithout(t, "")
	minusOne := one()
	minusOne.Neg(&minusOne)
	for name, key := range map[string]voucher.Key{"identity": {Y: one()}, "order two": {Y: minusOne}} {
		f := newForger()
		f.insertedClaim(t)
		f.key = key
		f.sign = func(f *forger, message fr.Element) SlotSignature {
			w := signedWith(big.NewInt(0), key, message, func(voucher.Signature, fr.Element) bool { return true })
			w.EighthX, w.EighthY = key.X, key.Y
			return w
		}
		if isSolved(t, system, &broken{*f.batch().Circuit, ""}) == nil {
			t.Errorf("a key of kind %q satisfies the circuit", name)
		}
	}
}

// What the parts of a slot cost, as in docs/benchmarks.md.
func TestSizesFitTheDomainsThatTheyAreMeantFor(t *testing.T) {
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	for size, log := range map[int]uint{1: 14, 8: 16, 64: 18, 256: 20} {
		if n := keys.BySize[size].Constraints; n > 1<<log {
			t.Errorf("size %d has %d constraints, more than 2^%d", size, n, log)
		}
	}
	for _, size := range []int{1, 8} {
		system := compiledSize(t, size)
		if n := system.GetNbConstraints(); n != keys.BySize[size].Constraints {
			t.Errorf("size %d compiles to %d constraints", size, n)
		}
		if n := len(system.GetCommitments().(constraint.Groth16Commitments)); n != 0 {
			t.Errorf("%d commitments: the proof would be longer than eight words", n)
		}
	}
}
