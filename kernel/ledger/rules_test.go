package ledger

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/voucher"
)

// A cheat is a witness that one rule alone refuses.
type cheat struct {
	name string
	rule rule
	// make changes the forger, and after that the batch.
	make func(t *testing.T, f *forger) forgedBatch
}

// forges is a cheat that needs no change to the batch after it is computed.
func forges(change func(t *testing.T, f *forger)) func(*testing.T, *forger) forgedBatch {
	return func(t *testing.T, f *forger) forgedBatch {
		change(t, f)
		return f.batch()
	}
}

func cheats() []cheat {
	exponent := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	return []cheat{
		{"a close of two writes the leaf's negative, under flags that no contract reads as a close", ruleFlags, forges(func(_ *testing.T, f *forger) {
			f.close = wordOf(2)
		})},
		{"a claim of minus one makes a close that the contract reads as a claim", ruleFlags, forges(func(_ *testing.T, f *forger) {
			f.claim.SetInt64(-1)
			f.close = one()
			f.pays(big.NewInt(500), big.NewInt(50))
			f.moves(new(big.Int), new(big.Int))
		})},
		{"an insert between zero and one opens a lease that isn't there", ruleFlags, forges(func(_ *testing.T, f *forger) {
			f.leaseID, f.key = leaseOf(5).LeaseID, leaseOf(5).Key
			f.checked = digitsOf(f.leaseID.BigInt(new(big.Int)), voucher.LeaseIDBits)
			amount, seconds := sumOf(f.checked[:voucher.AmountBits]), sumOf(f.checked[voucher.AmountBits:][:voucher.SecondsBits])
			f.pays(amount.BigInt(new(big.Int)), seconds.BigInt(new(big.Int)))
			opened, there, one := f.opened(), leafAt(2), one()
			f.insert.Div(&there, &opened).Sub(&one, &f.insert)
			f.sign = signedBy(scalarOf(5))
		})},
		{"a leaf that isn't in the tree, opened at a place between left and right", ruleWindowBits, forges(func(_ *testing.T, f *forger) {
			f.amount = wordOf(1_000_000) // the leaf would be another lease's
			f.amountBits = digitsOf(big.NewInt(1_000_000), voucher.AmountBits)
			forged := f.opened()
			// Left and right are those of the tree if their sum is and the left one is.
			left, right := leafAt(2), leafAt(3)
			f.path[0].Add(&left, &right).Sub(&f.path[0], &forged)
			var span fr.Element
			span.Sub(&f.path[0], &forged)
			f.windowBits[0].Sub(&left, &forged).Div(&f.windowBits[0], &span)
			window := sumOf(f.windowBits)
			f.windowWord = &window
		})},
		{"another window than that of the path", ruleWindow, forges(func(_ *testing.T, f *forger) {
			other := wordOf(5)
			f.windowWord = &other
		})},
		{"more earned than is paid", ruleEarned, forges(func(_ *testing.T, f *forger) {
			more := wordOf(101)
			f.earned = &more
		})},
		{"an amount that flows over into the seconds, in one bit", ruleAmountBits, forges(func(_ *testing.T, f *forger) {
			wide := new(big.Int).Add(exponent(voucher.AmountBits), big.NewInt(400))
			f.pays(wide, big.NewInt(60))
			f.moves(new(big.Int).Sub(wide, big.NewInt(500)), big.NewInt(10))
			f.amountBits = digitsOf(new(big.Int), voucher.AmountBits)
			f.amountBits[0] = elementOf(wide)
		})},
		{"an amount that flows over into the seconds", ruleAmount, forges(func(_ *testing.T, f *forger) {
			wide := new(big.Int).Add(exponent(voucher.AmountBits), big.NewInt(400))
			f.pays(wide, big.NewInt(60))
			f.moves(new(big.Int).Sub(wide, big.NewInt(500)), big.NewInt(10))
		})},
		{"seconds above 2^64, in one bit", ruleSecondBits, forges(func(_ *testing.T, f *forger) {
			wide := new(big.Int).Add(exponent(voucher.SecondsBits), big.NewInt(40))
			f.pays(big.NewInt(600), wide)
			f.moves(big.NewInt(100), new(big.Int).Sub(wide, big.NewInt(50)))
			f.secondsBits = digitsOf(new(big.Int), voucher.SecondsBits)
			f.secondsBits[0] = elementOf(wide)
		})},
		{"seconds above 2^64", ruleSeconds, forges(func(_ *testing.T, f *forger) {
			wide := new(big.Int).Add(exponent(voucher.SecondsBits), big.NewInt(40))
			f.pays(big.NewInt(600), wide)
			f.moves(big.NewInt(100), new(big.Int).Sub(wide, big.NewInt(50)))
		})},
		{"a lower amount", ruleChecked, forges(func(_ *testing.T, f *forger) {
			f.pays(big.NewInt(400), big.NewInt(60))
			f.moves(new(big.Int), big.NewInt(10))
			f.checked[0].SetInt64(-100)
		})},
		{"fewer seconds", ruleChecked, forges(func(_ *testing.T, f *forger) {
			f.pays(big.NewInt(600), big.NewInt(40))
			f.moves(big.NewInt(100), new(big.Int))
			f.checked[voucher.AmountBits].SetInt64(-10)
		})},
		{"an earlier amount below zero, which earns more than was ever paid", ruleChecked, forges(func(_ *testing.T, f *forger) {
			// 500 + 50·2^128 is -2^128 + 500 + 51·2^128 too.
			f.pays(big.NewInt(600), big.NewInt(60))
			f.moves(big.NewInt(100), big.NewInt(9))
			more := elementOf(exponent(voucher.SecondsShift))
			f.checked[0].Add(&f.checked[0], &more)
		})},
		{"a lease id too wide, which takes other flags", ruleLeaseID, forges(func(t *testing.T, f *forger) {
			f.inserts(t)
			more := elementOf(exponent(voucher.LeaseIDBits))
			f.leaseID.Add(&f.leaseID, &more)
		})},
		{"another lease's bits", ruleLeaseID, forges(func(t *testing.T, f *forger) {
			f.inserts(t)
			f.leaseID = leaseOf(5).LeaseID
		})},
		{"more paid without a claim", ruleNoClaim, forges(func(_ *testing.T, f *forger) {
			f.claim, f.close = fr.Element{}, one()
			f.sign = signedBy(big.NewInt(1))
		})},
		{"more seconds without a claim", ruleNoClaim, forges(func(_ *testing.T, f *forger) {
			f.claim, f.close = fr.Element{}, one()
			f.pays(big.NewInt(500), big.NewInt(60))
			f.moves(new(big.Int), big.NewInt(10))
			f.sign = signedBy(big.NewInt(1))
		})},
		{"an insert with an amount that nobody signed", ruleNoClaim, forges(func(t *testing.T, f *forger) {
			f.inserts(t)
			f.pays(big.NewInt(5), new(big.Int))
		})},
		{"an untouched slot that the contract reads as a close", ruleIdleID, forges(func(t *testing.T, f *forger) {
			f.untouched()
			f.leaseID = paidElement(leaseOf(2).LeaseID, wordOf(flagClose), flagsShift)
		})},
		{"an untouched slot with an amount", ruleIdlePaid, forges(func(t *testing.T, f *forger) {
			f.untouched()
			f.pays(big.NewInt(500), big.NewInt(50))
		})},
		{"another key inserted than the contract has, fitted to the same e", ruleC, func(t *testing.T, f *forger) forgedBatch {
			f.inserts(t)
			f.close = one() // so that the new root stays whatever the key is
			honest := f.batch()
			r := honest.R.(fr.Element)
			f.key.X = wordOf(7)
			wanted, got := evaluated(honest.words, r), evaluated(f.batch().words, r)
			var place, missing fr.Element
			place.Exp(r, big.NewInt(7)) // the word of the key's y
			f.key.Y.Add(&f.key.Y, missing.Sub(&wanted, &got).Div(&missing, &place))
			forged := f.batch()
			forged.C, forged.R, forged.E = honest.C, honest.R, honest.E
			return forged
		}},
		{"words that the contract doesn't have", ruleE, func(_ *testing.T, f *forger) forgedBatch {
			b := f.batch()
			other := b.E.(fr.Element)
			one := one()
			b.E = *other.Add(&other, &one)
			return b
		}},
		{"another r than that of the words and c", ruleE, func(_ *testing.T, f *forger) forgedBatch {
			b := f.batch()
			b.R = wordOf(3)
			return b
		}},
	}
}

func evaluated(words []fr.Element, r fr.Element) (sum fr.Element) {
	for i := len(words) - 1; i >= 0; i-- {
		sum.Mul(&sum, &r).Add(&sum, &words[i])
	}
	return sum
}

// untouched makes the slot one that stays as it is.
func (f *forger) untouched() {
	f.claim = fr.Element{}
	f.leaseID, f.key = fr.Element{}, voucher.Key{}
	f.pays(new(big.Int), new(big.Int))
	f.moves(new(big.Int), new(big.Int))
	f.kept = leafAt(f.window)
	f.sign = signedBy(big.NewInt(1))
}

// opened is the leaf that the slot says was there before.
func (f *forger) opened() fr.Element {
	amount := f.before(f.amount, f.checked[:voucher.AmountBits])
	seconds := f.before(f.seconds, f.checked[voucher.AmountBits:voucher.AmountBits+voucher.SecondsBits])
	return voucher.Hash(f.leaseID, f.key.X, f.key.Y, paidElement(amount, seconds, voucher.SecondsShift))
}

func leafAt(index uint32) fr.Element {
	_, tree, err := plant(forgedLeaves())
	if err != nil {
		panic(err)
	}
	return tree.Leaf(index)
}

func TestEachRuleIsNeeded(t *testing.T) {
	whole := compiledWithout(t, "")
	if err := isSolved(t, whole, &broken{*newForger().batch().Circuit, ""}); err != nil {
		t.Fatalf("the forger cannot even make an honest batch: %v", err)
	}
	honest, err := RootOf(forgedLeaves())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(cheats(), signatureCheats()...) {
		t.Run(string(c.rule)+"/"+c.name, func(t *testing.T) {
			batch := c.make(t, newForger())
			if batch.oldRoot != honest {
				t.Fatal("the cheat starts from another tree")
			}
			witness := &broken{*batch.Circuit, ""}
			if err := isSolved(t, compiledWithout(t, c.rule), witness); err != nil {
				t.Fatalf("refused without the rule: %v", err)
			}
			if isSolved(t, whole, witness) == nil {
				t.Fatal("taken with the rule")
			}
		})
	}
}
