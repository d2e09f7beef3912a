package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

var (
	update = flag.Bool("update", false, "prove and write the golden vectors anew; needs -keys")
	keys   = flag.String("keys", "", "folder of keys that shale-kernel setup made")
)

const (
	vectorsFile = "../../tests/vectors/ledger.json"
	libraryFile = "../../contracts/src/generated/VerifyingKey.sol"
)

type leafVector struct {
	Index   uint32 `json:"index"`
	LeaseID string `json:"lease_id"`
	X       string `json:"x"`
	Y       string `json:"y"`
	Deposit string `json:"deposit"`
	Amount  string `json:"amount"`
	Seconds uint64 `json:"seconds"`
}

type heldVector struct {
	leafVector
	Hash string `json:"hash"`
}

type operationVector struct {
	leafVector
	PrevAmount string  `json:"prev_amount"`
	Insert     bool    `json:"insert"`
	Claim      bool    `json:"claim"`
	Close      bool    `json:"close"`
	Signature  *string `json:"signature"`
}

type batchVector struct {
	Name       string            `json:"name"`
	Leaves     []heldVector      `json:"leaves"`
	Operations []operationVector `json:"operations"`
	OldRoot    string            `json:"old_root"`
	NewRoot    string            `json:"new_root"`
	Words      []string          `json:"words"`
	C          string            `json:"c"`
	R          string            `json:"r"`
	E          string            `json:"e"`
	Proof      []string          `json:"proof"`
}

type ledgerVectors struct {
	Comment      string        `json:"comment"`
	Batch        int           `json:"batch"`
	Depth        int           `json:"depth"`
	EmptyRoot    string        `json:"empty_root"`
	VerifyingKey string        `json:"verifying_key"`
	VKHash       string        `json:"vk_hash"`
	ChainID      uint64        `json:"chain_id"`
	Ledger       string        `json:"ledger"`
	Domain       string        `json:"domain"`
	Batches      []batchVector `json:"batches"`
}

// goldenBatches are two batches of one ledger: a full one from the empty tree, and one with padding from where it led.
func goldenBatches(t *testing.T, domain fr.Element) (names []string, leaves [][]Leaf, operations [][]Operation) {
	t.Helper()
	final := leaseOf(5).paid(77, 60)
	full := []Operation{
		inserted(leaseOf(0)), inserted(leaseOf(1)), inserted(leaseOf(2)), inserted(leaseOf(3)),
		with(claimed(t, domain, 4, leaseOf(4).paid(400, 40)), func(o *Operation) { o.Insert = true }),
		with(claimed(t, domain, 5, final), func(o *Operation) { o.Insert, o.Close = true, true }),
		claimed(t, domain, 1, leaseOf(1).paid(1000, 10)),
		closed(leaseOf(3)),
	}
	held := []Leaf{leaseOf(0), leaseOf(1).paid(1000, 10), leaseOf(2), leaseOf(4).paid(400, 40)}
	everything := leaseOf(1)
	everything.Amount, everything.Seconds = everything.Deposit, 86400
	padded := []Operation{
		with(claimed(t, domain, 1, everything), func(o *Operation) { o.Close = true }),
		claimed(t, domain, 4, leaseOf(4).paid(401, 40)),
		closed(leaseOf(4).paid(401, 40)),
	}
	return []string{"full", "padded"}, [][]Leaf{nil, held}, [][]Operation{full, padded}
}

func TestGoldenVectorsHold(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	golden := readVectors(t)
	raw, err := hex.DecodeString(golden.VerifyingKey[2:])
	if err != nil {
		t.Fatal(err)
	}
	vk, err := parseVerifyingKey(Manifest{}, raw)
	if err != nil {
		t.Fatal(err)
	}
	domain := Domain(golden.ChainID, addressOf(golden.Ledger), vk.Hash)
	root := EmptyRoot()
	if textOf(domain) != golden.Domain || textOf(root) != golden.EmptyRoot || "0x"+hex.EncodeToString(vk.Hash[:]) != golden.VKHash {
		t.Fatal("domain, empty root or the verifying key's hash differ")
	}
	names, leaves, operations := goldenBatches(t, domain)
	for i, batch := range golden.Batches {
		computed := batchVectorOf(t, names[i], domain, leaves[i], operations[i])
		computed.Proof = batch.Proof
		if !sameJSON(t, computed, batch) {
			t.Errorf("batch %s differs from what this source computes", batch.Name)
		}
		var proof Proof
		for j, w := range batch.Proof {
			proof[j], _ = new(big.Int).SetString(w[2:], 16)
		}
		inputs := Inputs{C: parseWord(batch.C), R: parseWord(batch.R), E: parseWord(batch.E)}
		if !vk.Verify(inputs, proof) {
			t.Errorf("the proof of batch %s does not verify", batch.Name)
		}
	}
	if golden.Batches[0].NewRoot != golden.Batches[1].OldRoot {
		t.Error("the second batch does not start where the first led")
	}
}

func TestCommittedSolidityFitsTheGoldenVerifyingKey(t *testing.T) {
	library, err := os.ReadFile(libraryFile)
	if err != nil {
		t.Fatal(err)
	}
	golden := readVectors(t)
	for _, constant := range []string{golden.VKHash, golden.EmptyRoot} {
		if !strings.Contains(string(library), constant) {
			t.Errorf("%s lacks %s: run shale-kernel export-verifier", libraryFile, constant)
		}
	}
}

func writeVectors(t *testing.T) {
	p, err := LoadProver(*keys)
	if err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	if _, err := p.VerifyingKey.key.WriteRawTo(&raw); err != nil {
		t.Fatal(err)
	}
	domain := Domain(testChain, addressOf(testLedger), p.Hash)
	v := ledgerVectors{
		Comment: "Written by go test ./ledger -run Vectors -update -keys DIR; formats: docs/protocol.md, section 4.",
		Batch:   Batch, Depth: Depth, EmptyRoot: textOf(EmptyRoot()),
		VerifyingKey: "0x" + hex.EncodeToString(raw.Bytes()), VKHash: p.Manifest.VKHash,
		ChainID: testChain, Ledger: testLedger, Domain: textOf(domain),
	}
	names, leaves, operations := goldenBatches(t, domain)
	for i := range names {
		batch := batchVectorOf(t, names[i], domain, leaves[i], operations[i])
		transition, err := Apply(domain, leaves[i], operations[i])
		if err != nil {
			t.Fatal(err)
		}
		proof, elapsed, err := p.Prove(transition)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s proven in %v", names[i], elapsed)
		for _, w := range proof {
			batch.Proof = append(batch.Proof, "0x"+hex.EncodeToString(w.FillBytes(make([]byte, 32))))
		}
		v.Batches = append(v.Batches, batch)
	}
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorsFile, append(content, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func batchVectorOf(t *testing.T, name string, domain fr.Element, leaves []Leaf, operations []Operation) batchVector {
	t.Helper()
	transition, err := Apply(domain, leaves, operations)
	if err != nil {
		t.Fatal(err)
	}
	b := batchVector{
		Name: name, Leaves: []heldVector{}, OldRoot: textOf(transition.OldRoot), NewRoot: textOf(transition.NewRoot),
		C: textOf(transition.Inputs.C), R: textOf(transition.Inputs.R), E: textOf(transition.Inputs.E),
	}
	for _, leaf := range leaves {
		b.Leaves = append(b.Leaves, heldVector{leafVectorOf(leaf), textOf(leaf.Hash())})
	}
	for i, o := range operations {
		previous := amountOf(transition.steps[i].prevAmount).String()
		v := operationVector{leafVectorOf(o.Leaf), previous, o.Insert, o.Claim, o.Close, nil}
		if o.Claim {
			signature := "0x" + hex.EncodeToString(o.Signature)
			v.Signature = &signature
		}
		b.Operations = append(b.Operations, v)
	}
	for _, w := range transition.Words {
		b.Words = append(b.Words, textOf(w))
	}
	return b
}

func leafVectorOf(l Leaf) leafVector {
	return leafVector{l.Index, textOf(l.LeaseID), textOf(l.Key.X), textOf(l.Key.Y), l.Deposit.String(), l.Amount.String(), l.Seconds}
}

func readVectors(t *testing.T) (v ledgerVectors) {
	t.Helper()
	content, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func sameJSON(t *testing.T, a, b any) bool {
	t.Helper()
	first, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(first, second)
}

func addressOf(text string) (address [20]byte) {
	raw, err := hex.DecodeString(text[2:])
	if err != nil {
		panic(err)
	}
	copy(address[:], raw)
	return address
}

func parseWord(text string) (w fr.Element) {
	if _, err := w.SetString(text); err != nil {
		panic(err)
	}
	return w
}

func textOf(w fr.Element) string { return "0x" + hex.EncodeToString(w.Marshal()) }
