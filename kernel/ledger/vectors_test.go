package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
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
	Amount  string `json:"amount"`
	Seconds uint64 `json:"seconds"`
}

type heldVector struct {
	leafVector
	Hash string `json:"hash"`
}

type operationVector struct {
	leafVector
	Deposit     string  `json:"deposit"` // what the contract holds for the lease: no part of the batch
	PrevAmount  string  `json:"prev_amount"`
	PrevSeconds uint64  `json:"prev_seconds"`
	Insert      bool    `json:"insert"`
	Claim       bool    `json:"claim"`
	Close       bool    `json:"close"`
	Signature   *string `json:"signature"`
}

type batchVector struct {
	Name       string            `json:"name"`
	Size       int               `json:"size"`
	Window     uint32            `json:"window"`
	Leaves     []heldVector      `json:"leaves"`
	Operations []operationVector `json:"operations"`
	OldRoot    string            `json:"old_root"`
	NewRoot    string            `json:"new_root"`
	Earned     string            `json:"earned"`
	Words      []string          `json:"words"`
	C          string            `json:"c"`
	R          string            `json:"r"`
	E          string            `json:"e"`
	Proof      []string          `json:"proof"`
}

type keyVector struct {
	Size         int    `json:"size"`
	VKHash       string `json:"vk_hash"`
	VerifyingKey string `json:"verifying_key"`
}

type ledgerVectors struct {
	Comment   string        `json:"comment"`
	Depth     int           `json:"depth"`
	EmptyRoot string        `json:"empty_root"`
	Keys      []keyVector   `json:"keys"`
	Alphas    []string      `json:"development_alphas"`
	Unsafe    bool          `json:"unsafe_development"`
	KeysHash  string        `json:"keys_hash"`
	ChainID   uint64        `json:"chain_id"`
	Ledger    string        `json:"ledger"`
	Domain    string        `json:"domain"`
	Batches   []batchVector `json:"batches"`
}

// A goldenBatch is applied to what the one before it left, the first to the empty tree.
type goldenBatch struct {
	name       string
	size       int
	window     uint32
	operations []Operation
}

// depositOf is what lease i's record in the contract has: i + 1 FIL.
func depositOf(i uint32) *big.Int {
	return new(big.Int).Mul(big.NewInt(int64(i+1)), big.NewInt(1_000_000_000_000_000_000))
}

func goldenBatches(t *testing.T, domain fr.Element) []goldenBatch {
	t.Helper()
	everything := leaseOf(1)
	everything.Amount, everything.Seconds = depositOf(1), 86400
	insertAndClaim := func(o *Operation) { o.Insert = true }
	andClose := func(o *Operation) { o.Close = true }
	all := func(o *Operation) { o.Insert, o.Close = true, true }
	return []goldenBatch{
		{"one inserted and claimed", 1, 1, []Operation{
			with(claimed(t, domain, 1, leaseOf(1).paid(1000, 10)), insertAndClaim),
		}},
		{"eight slots, all kinds", 8, 0, []Operation{
			inserted(leaseOf(0)),
			claimed(t, domain, 1, leaseOf(1).paid(2000, 20)),
			inserted(leaseOf(2)),
			inserted(leaseOf(3)),
			with(claimed(t, domain, 4, leaseOf(4).paid(400, 40)), insertAndClaim),
			with(claimed(t, domain, 5, leaseOf(5).paid(77, 60)), all),
			with(claimed(t, domain, 6, leaseOf(6).paid(1, 0)), insertAndClaim),
			with(claimed(t, domain, 7, leaseOf(7).paid(0, 0)), all),
		}},
		{"another window", 8, 2, []Operation{
			inserted(leaseOf(17)),
			with(claimed(t, domain, 22, leaseOf(22).paid(5, 1)), all),
		}},
		{"sixty-four slots, most untouched", 64, 0, []Operation{
			with(claimed(t, domain, 1, everything), andClose),
			closed(leaseOf(3)),
			claimed(t, domain, 4, leaseOf(4).paid(401, 40)),
			with(claimed(t, domain, 17, leaseOf(17).paid(9, 9)), andClose),
			with(claimed(t, domain, 63, leaseOf(63).paid(63, 63)), insertAndClaim),
		}},
		{"256 slots, most untouched", 256, 0, []Operation{
			claimed(t, domain, 0, leaseOf(0).paid(1, 1)),
			closed(leaseOf(63).paid(63, 63)),
			inserted(leaseOf(255)),
		}},
	}
}

// after is what a batch leaves of the leaves before it, in the order of their places.
func after(leaves []Leaf, operations []Operation) (left []Leaf) {
	places := map[uint32]Leaf{}
	for _, leaf := range leaves {
		places[leaf.Index] = leaf
	}
	for _, o := range operations {
		places[o.Index] = o.Leaf
		if o.Close {
			delete(places, o.Index)
		}
	}
	for index := uint32(0); len(left) < len(places); index++ {
		if leaf, ok := places[index]; ok {
			left = append(left, leaf)
		}
	}
	return left
}

func TestGoldenVectorsHold(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	golden := readVectors(t)
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	computed, _ := computeVectors(t, keys)
	for i := range computed.Batches {
		computed.Batches[i].Proof = golden.Batches[i].Proof // proofs are drawn at random
	}
	if !sameJSON(t, computed, golden) {
		t.Errorf("%s differs from what this source computes", vectorsFile)
	}
	for _, batch := range golden.Batches {
		var proof Proof
		for j, w := range batch.Proof {
			proof[j], _ = new(big.Int).SetString(w[2:], 16)
		}
		inputs := Inputs{C: parseWord(batch.C), R: parseWord(batch.R), E: parseWord(batch.E)}
		for _, size := range Sizes {
			if holds := keys.BySize[size].Verify(inputs, proof); holds != (size == batch.Size) {
				t.Errorf("under the key of size %d the proof of %q is %t", size, batch.Name, holds)
			}
		}
	}
}

func TestCommittedSolidityFitsTheKeys(t *testing.T) {
	library, err := os.ReadFile(libraryFile)
	if err != nil {
		t.Fatal(err)
	}
	golden := readVectors(t)
	for _, constant := range []string{golden.KeysHash, golden.EmptyRoot, golden.Keys[0].VKHash, golden.Keys[3].VKHash} {
		if !strings.Contains(string(library), constant) {
			t.Errorf("%s lacks %s: run scripts/verifier.sh --write", libraryFile, constant)
		}
	}
}

func computeVectors(t *testing.T, keys *Keys) (ledgerVectors, []*Transition) {
	t.Helper()
	domain := Domain(testChain, addressOf(testLedger), keys.Hash)
	v := ledgerVectors{
		Comment: "Written by go test ./ledger -run Vectors -update; formats: docs/protocol.md, section 4.",
		Depth:   Depth, EmptyRoot: textOf(EmptyRoot()), Unsafe: keys.UnsafeDevelopment, KeysHash: textOfHash(keys.Hash),
		ChainID: testChain, Ledger: testLedger, Domain: textOf(domain),
	}
	for _, alpha := range developmentAlphas {
		v.Alphas = append(v.Alphas, "0x"+alpha)
	}
	for _, size := range Sizes {
		content, err := committed.ReadFile(verifyingKeyFile(size))
		if err != nil {
			t.Fatal(err)
		}
		v.Keys = append(v.Keys, keyVector{size, keys.BySize[size].VKHash, "0x" + hex.EncodeToString(content)})
	}
	var leaves []Leaf
	var transitions []*Transition
	for _, golden := range goldenBatches(t, domain) {
		transition, err := Apply(domain, golden.size, golden.window, leaves, golden.operations)
		if err != nil {
			t.Fatalf("%s: %v", golden.name, err)
		}
		v.Batches = append(v.Batches, batchVectorOf(golden, leaves, transition))
		transitions = append(transitions, transition)
		leaves = after(leaves, golden.operations)
	}
	return v, transitions
}

func writeVectors(t *testing.T) {
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	v, transitions := computeVectors(t, keys)
	for i, transition := range transitions {
		prover, err := keys.LoadProver(keysDir(t), transition.Size)
		if err != nil {
			t.Fatal(err)
		}
		proven, err := prover.Prove(transition, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: witness in %v, proven in %v", v.Batches[i].Name, proven.Witness, proven.Prove)
		for _, w := range proven.Proof {
			v.Batches[i].Proof = append(v.Batches[i].Proof, "0x"+hex.EncodeToString(w.FillBytes(make([]byte, 32))))
		}
	}
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorsFile, append(content, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func batchVectorOf(golden goldenBatch, leaves []Leaf, transition *Transition) batchVector {
	b := batchVector{
		Name: golden.name, Size: golden.size, Window: golden.window, Leaves: []heldVector{},
		OldRoot: textOf(transition.OldRoot), NewRoot: textOf(transition.NewRoot), Earned: transition.Earned.String(),
		C: textOf(transition.Inputs.C), R: textOf(transition.Inputs.R), E: textOf(transition.Inputs.E),
	}
	for _, leaf := range leaves {
		b.Leaves = append(b.Leaves, heldVector{leafVectorOf(leaf), textOf(leaf.Hash())})
	}
	for _, o := range golden.operations {
		s := transition.steps[o.Index%uint32(golden.size)]
		v := operationVector{
			leafVectorOf(o.Leaf), depositOf(o.Index).String(), amountOf(s.prevAmount).String(), s.prevSeconds,
			o.Insert, o.Claim, o.Close, nil,
		}
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
	return leafVector{l.Index, textOf(l.LeaseID), textOf(l.Key.X), textOf(l.Key.Y), amountOf(l.Amount).String(), l.Seconds}
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
