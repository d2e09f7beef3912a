package voucher_test

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"

	"github.com/shale-cloud/shale/kernel/voucher"
)

type forgery struct {
	name      string
	key       voucher.Key
	stated    voucher.Voucher
	signature []byte
}

// forgeries are near misses of one honest voucher; none may verify.
func forgeries(t *testing.T, secret voucher.Secret, stated voucher.Voucher) []forgery {
	t.Helper()
	key := secret.Key()
	signature, err := voucher.Sign(secret, stated)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(v *voucher.Voucher)) voucher.Voucher {
		v := stated
		change(&v)
		return v
	}
	torsion := twistededwards.PointAffine{Y: minusOne()} // of order two
	mixed := key.Point()
	mixed.Add(&mixed, &torsion)
	order := twistededwards.GetEdwardsCurve().Order
	return []forgery{
		{"another amount", key, changed(func(v *voucher.Voucher) { v.Amount = big.NewInt(6) }), signature},
		{"other seconds", key, changed(func(v *voucher.Voucher) { v.Seconds++ }), signature},
		{"another lease", key, changed(func(v *voucher.Voucher) { v.LeaseID = number(3) }), signature},
		{"another domain", key, changed(func(v *voucher.Voucher) { v.Domain = number(3) }), signature},
		{"another key", secretOf(1).Key(), stated, signature},
		{"the identity as key", voucher.Key{Y: number(1)}, stated, signature},
		{"a key of order two", voucher.Key{Y: minusOne()}, stated, signature},
		{"a key outside the subgroup", voucher.Key{X: mixed.X, Y: mixed.Y}, stated, signature},
		{"a key off the curve", voucher.Key{X: number(1), Y: number(1)}, stated, signature},
		{"the key mirrored", voucher.Key{X: minus(key.X), Y: key.Y}, stated, signature},
		{"the key's other y", voucher.Key{X: key.X, Y: minus(key.Y)}, stated, signature},
		{"s above the order", key, stated, withS(signature, new(big.Int).Add(sOf(signature), &order))},
		{"s of zero", key, stated, withS(signature, new(big.Int))},
		{"another s", key, stated, withS(signature, new(big.Int).Xor(sOf(signature), big.NewInt(1)))},
		{"r mirrored", key, stated, withR(signature, minus(rOf(signature)))},
		{"another r", key, stated, flipped(signature, 31)},
		{"r above the modulus", key, stated, aliased(signature)},
		{"r of zero", key, stated, withR(signature, fr.Element{})},
		{"a short signature", key, stated, signature[:63]},
		{"a long signature", key, stated, append(bytes.Clone(signature), 0)},
		{"no signature", key, stated, nil},
	}
}

func TestHonestVoucherVerifies(t *testing.T) {
	secret, err := voucher.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	stated := voucher.Voucher{Domain: number(1), LeaseID: number(2), Amount: big.NewInt(3), Seconds: 4}
	signature, err := voucher.Sign(secret, stated)
	if err != nil {
		t.Fatal(err)
	}
	if !secret.Key().Valid() || !voucher.Verify(secret.Key(), stated, signature) {
		t.Fatal("refused")
	}
}

func TestSigningTwiceGivesTheSameSignature(t *testing.T) {
	stated := voucher.Voucher{Domain: number(1), LeaseID: number(2), Amount: big.NewInt(3), Seconds: 4}
	first, _ := voucher.Sign(secretOf(1), stated)
	second, _ := voucher.Sign(secretOf(1), stated)
	if len(first) != voucher.SignatureSize || !bytes.Equal(first, second) {
		t.Fatal("the nonce is not derived from secret and message alone")
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	stated := voucher.Voucher{Domain: number(1), LeaseID: number(2), Amount: big.NewInt(5), Seconds: 4}
	for _, f := range forgeries(t, secretOf(7), stated) {
		if voucher.Verify(f.key, f.stated, f.signature) {
			t.Errorf("%s verifies", f.name)
		}
	}
}

// The challenge that the circuit takes has only one decomposition, which not every nonce gives: some need another try.
func TestEverySignatureHasAChallengeThatTheCircuitTakes(t *testing.T) {
	for i := range 600 {
		stated := voucher.Voucher{Domain: number(1), LeaseID: number(2), Amount: big.NewInt(int64(i)), Seconds: 4}
		signature, err := voucher.Sign(secretOf(1), stated)
		if err != nil {
			t.Fatal(err)
		}
		key := secretOf(1).Key()
		challenge, ok := voucher.Challenge(stated.Message(key), rOf(signature))
		if !ok || challenge.BitLen() != voucher.ChallengeBits+2 || challenge.Bit(0) != 1 || !voucher.Verify(key, stated, signature) {
			t.Fatalf("amount %d: challenge %v", i, challenge)
		}
	}
}

// Seconds stand above the amount in the word that is signed: an amount that reaches them would be another voucher's word.
func TestAmountThatRunsIntoTheSecondsIsNoVoucher(t *testing.T) {
	honest := voucher.Voucher{Domain: number(1), LeaseID: number(2), Amount: big.NewInt(5), Seconds: 4}
	alias := honest
	alias.Amount = new(big.Int).Add(honest.Amount, new(big.Int).Lsh(big.NewInt(1), voucher.SecondsShift))
	alias.Seconds--
	key := secretOf(1).Key()
	if alias.Message(key) != honest.Message(key) {
		t.Fatal("the alias is another word")
	}
	signature, _ := voucher.Sign(secretOf(1), honest)
	if voucher.Verify(key, alias, signature) {
		t.Error("the alias verifies")
	}
	for _, wide := range []voucher.Voucher{alias, {Amount: big.NewInt(-1)}, {}, {LeaseID: minusOne(), Amount: new(big.Int)}} {
		if _, err := voucher.Sign(secretOf(1), wide); err == nil {
			t.Errorf("%v was signed", wide)
		}
	}
}

func TestManyVouchersAreEachJudgedAsOne(t *testing.T) {
	stated := voucher.Voucher{Domain: number(1), LeaseID: number(2), Amount: big.NewInt(5), Seconds: 4}
	honest, _ := voucher.Sign(secretOf(7), stated)
	var items []voucher.Signed
	for _, f := range forgeries(t, secretOf(7), stated) {
		items = append(items, voucher.Signed{Key: f.key, Voucher: f.stated, Signature: f.signature},
			voucher.Signed{Key: secretOf(7).Key(), Voucher: stated, Signature: honest})
	}
	for i, valid := range voucher.VerifyMany(items) {
		if valid != (i%2 == 1) || valid != items[i].Valid() {
			t.Errorf("item %d is valid: %t", i, valid)
		}
	}
	if len(voucher.VerifyMany(nil)) != 0 {
		t.Error("no vouchers, but an answer")
	}
}

func TestNativeHashIsTheLibrarysMerkleDamgard(t *testing.T) {
	words := []fr.Element{number(7), hashed("a"), hashed("b"), {}}
	hasher := poseidon2.NewMerkleDamgardHasher()
	for _, w := range words {
		hasher.Write(w.Marshal())
	}
	own := voucher.Hash(fr.Element{}, words...)
	if !bytes.Equal(hasher.Sum(nil), own.Marshal()) {
		t.Fatal("hashes differ")
	}
}

func FuzzVerifyNeverPanics(f *testing.F) {
	signature, _ := voucher.Sign(secretOf(1), voucher.Voucher{Amount: new(big.Int)})
	f.Add(signature)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, hostile []byte) {
		if bytes.Equal(hostile, signature) {
			return
		}
		if voucher.Verify(secretOf(1).Key(), voucher.Voucher{Amount: new(big.Int)}, hostile) {
			t.Fatal("a forgery verifies")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	stated := voucher.Voucher{Domain: number(1), LeaseID: number(2), Amount: big.NewInt(5), Seconds: 4}
	signature, _ := voucher.Sign(secretOf(7), stated)
	key := secretOf(7).Key()
	for b.Loop() {
		if !voucher.Verify(key, stated, signature) {
			b.Fatal("refused")
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "vouchers/s")
}

func minusOne() fr.Element { return minus(number(1)) }

func minus(w fr.Element) fr.Element { return *w.Neg(&w) }

func sOf(signature []byte) *big.Int { return new(big.Int).SetBytes(signature[32:]) }

func rOf(signature []byte) (r fr.Element) {
	r.SetBytes(signature[:32])
	return r
}

func withR(signature []byte, r fr.Element) []byte { return append(r.Marshal(), signature[32:]...) }

func withS(signature []byte, s *big.Int) []byte {
	changed := bytes.Clone(signature)
	s.FillBytes(changed[32:])
	return changed
}

func flipped(signature []byte, at int) []byte {
	changed := bytes.Clone(signature)
	changed[at] ^= 0x80
	return changed
}

// aliased is the signature with the modulus added to R: the same word, written otherwise.
func aliased(signature []byte) []byte {
	r := new(big.Int).SetBytes(signature[:32])
	changed := bytes.Clone(signature)
	r.Add(r, fr.Modulus()).FillBytes(changed[:32])
	return changed
}
