package voucher_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math/big"
	"os"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/voucher"
)

var update = flag.Bool("update", false, "write the golden vectors anew")

const vectorsFile = "../../tests/vectors/voucher.json"

type hashVector struct {
	Words []string `json:"words"`
	Hash  string   `json:"hash"`
}

type voucherVector struct {
	Name      string `json:"name"`
	Secret    string `json:"secret,omitempty"`
	X         string `json:"x"`
	Y         string `json:"y"`
	Domain    string `json:"domain"`
	LeaseID   string `json:"lease_id"`
	Amount    string `json:"amount"`
	Seconds   uint64 `json:"seconds"`
	Leaf      string `json:"leaf"`
	Message   string `json:"message"`
	Signature string `json:"signature"`
	Valid     bool   `json:"valid"`
}

type vectors struct {
	Comment  string          `json:"comment"`
	Hashes   []hashVector    `json:"hashes"`
	Compress []hashVector    `json:"compress"`
	Vouchers []voucherVector `json:"vouchers"`
}

func TestVectorsOfVouchersMatchTheGoldenFile(t *testing.T) {
	computed, err := json.MarshalIndent(computeVectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	computed = append(computed, '\n')
	if *update {
		if err := os.WriteFile(vectorsFile, computed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, computed) {
		t.Fatalf("%s differs from what this source computes: run go test ./voucher -run Vectors -update", vectorsFile)
	}
}

func TestEveryGoldenVoucherVerifiesAsTheFileSays(t *testing.T) {
	golden, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var read vectors
	if err := json.Unmarshal(golden, &read); err != nil {
		t.Fatal(err)
	}
	for _, v := range read.Vouchers {
		signature, err := hex.DecodeString(v.Signature[2:])
		if err != nil {
			t.Fatal(err)
		}
		amount, _ := new(big.Int).SetString(v.Amount, 10)
		stated := voucher.Voucher{Domain: parse(v.Domain), LeaseID: parse(v.LeaseID), Amount: amount, Seconds: v.Seconds}
		if got := voucher.Verify(voucher.Key{X: parse(v.X), Y: parse(v.Y)}, stated, signature); got != v.Valid {
			t.Errorf("%s: valid is %t", v.Name, got)
		}
	}
}

func computeVectors(t *testing.T) vectors {
	v := vectors{Comment: "Written by go test ./voucher -run Vectors -update; formats: docs/protocol.md, section 3."}
	words := []fr.Element{number(1), number(2), hashed("word")}
	for n := 1; n <= len(words); n++ {
		v.Hashes = append(v.Hashes, hashVector{texts(words[:n]), text(voucher.Hash(words[0], words[1:n]...))})
	}
	v.Compress = []hashVector{
		{texts(make([]fr.Element, 2)), text(voucher.Compress(fr.Element{}, fr.Element{}))},
		{texts(words[1:]), text(voucher.Compress(words[1], words[2]))},
	}
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 96), big.NewInt(1))
	for i, amount := range []*big.Int{new(big.Int), big.NewInt(1_000_000_000_000_000_000), most} {
		secret := secretOf(i)
		stated := voucher.Voucher{Domain: hashed("domain"), LeaseID: hashed("lease"), Amount: amount, Seconds: uint64(60 * i)}
		signature, err := voucher.Sign(secret, stated)
		if err != nil {
			t.Fatal(err)
		}
		signed := vectorOf(fmt.Sprintf("voucher %d", i), secret.Key(), stated, signature, true)
		signed.Secret = "0x" + hex.EncodeToString(secret[:])
		v.Vouchers = append(v.Vouchers, signed)
	}
	stated := voucher.Voucher{Domain: hashed("domain"), LeaseID: hashed("lease"), Amount: big.NewInt(5), Seconds: 9}
	for _, f := range forgeries(t, secretOf(7), stated) {
		v.Vouchers = append(v.Vouchers, vectorOf(f.name, f.key, f.stated, f.signature, false))
	}
	return v
}

func vectorOf(name string, key voucher.Key, v voucher.Voucher, signature []byte, valid bool) voucherVector {
	return voucherVector{
		Name: name, X: text(key.X), Y: text(key.Y),
		Domain: text(v.Domain), LeaseID: text(v.LeaseID), Amount: v.Amount.String(), Seconds: v.Seconds,
		Leaf: text(v.Leaf(key)), Message: text(v.Message(key)),
		Signature: "0x" + hex.EncodeToString(signature), Valid: valid,
	}
}

func secretOf(i int) voucher.Secret { return sha256.Sum256(fmt.Appendf(nil, "vector secret %d", i)) }

func hashed(name string) fr.Element {
	digest := sha256.Sum256([]byte(name))
	var w fr.Element
	w.SetBytes(digest[:31])
	return w
}

func number(n uint64) (w fr.Element) {
	w.SetUint64(n)
	return w
}

func parse(text string) (w fr.Element) {
	if _, err := w.SetString(text); err != nil {
		panic(err)
	}
	return w
}

func text(w fr.Element) string { return "0x" + hex.EncodeToString(w.Marshal()) }

func texts(words []fr.Element) (all []string) {
	for _, w := range words {
		all = append(all, text(w))
	}
	return all
}
