package ledger

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark/constraint"
)

// keysDir is where make install caches the development keys; without them the test makes them, which takes a minute.
func keysDir(t *testing.T) string {
	t.Helper()
	if *keys != "" {
		return *keys
	}
	if chosen := os.Getenv("SHALE_KEYS"); chosen != "" {
		return chosen
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return t.TempDir()
	}
	return filepath.Join(cache, "shale", "keys")
}

func TestProofOfAFullBatchVerifiesAndItsForgeriesDoNot(t *testing.T) {
	dir := keysDir(t)
	if _, _, err := UnsafeDevelopmentSetup(dir); err != nil {
		t.Fatal(err)
	}
	prover, err := LoadProver(dir)
	if err != nil {
		t.Fatal(err)
	}
	if golden := readVectors(t); prover.Manifest.VKHash != golden.VKHash {
		t.Fatalf("the setup gives %s here, the committed verifier is for %s", prover.Manifest.VKHash, golden.VKHash)
	}
	transition := fullBatch(t)
	proof, elapsed, err := prover.Prove(transition)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d constraints proven in %v", prover.Manifest.Constraints, elapsed)
	if !prover.Verify(transition.Inputs, proof) {
		t.Fatal("an honest proof does not verify")
	}

	inputs := transition.Inputs
	one := wordOf(1)
	inputs.C.Add(&inputs.C, &one)
	if prover.Verify(inputs, proof) {
		t.Error("verifies with another c")
	}
	for i := range proof {
		for name, word := range map[string]*big.Int{
			"plus one":         new(big.Int).Add(proof[i], big.NewInt(1)),
			"plus the modulus": new(big.Int).Add(proof[i], fp.Modulus()),
			"zero":             new(big.Int),
			"negative":         big.NewInt(-1),
			"missing":          nil,
		} {
			forgery := proof
			forgery[i] = word
			if prover.Verify(transition.Inputs, forgery) {
				t.Errorf("verifies with word %d %s", i, name)
			}
		}
	}
}

func TestPinnedCircuitIsTheCompiledOneWithoutCommitments(t *testing.T) {
	system, _, err := compileChecked()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(system.GetCommitments().(constraint.Groth16Commitments)); n != 0 {
		t.Fatalf("%d commitments: the proof would be longer than eight words", n)
	}
	if perUpdate := system.GetNbConstraints() / Batch; perUpdate > 16_000 {
		t.Fatalf("%d constraints an update", perUpdate)
	}
}

func TestDevelopmentSetupGivesTheSameKeysAgain(t *testing.T) {
	system := compileOther(t, &hashCircuit{})
	honest := rand.Reader
	var serialized [2]bytes.Buffer
	for i := range serialized {
		pk, vk, err := developmentKeys(system)
		if err != nil {
			t.Fatal(err)
		}
		if err := pk.WriteDump(&serialized[i]); err != nil {
			t.Fatal(err)
		}
		if _, err := vk.WriteRawTo(&serialized[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(serialized[0].Bytes(), serialized[1].Bytes()) {
		t.Fatal("the setup is not deterministic")
	}
	if rand.Reader != honest {
		t.Fatal("the system's randomness was not put back")
	}
}

func TestKeysThatAreMissingOrOfAnotherCircuitAreNoKeys(t *testing.T) {
	dir := t.TempDir()
	for _, manifest := range []string{"", "{", `{"circuit": "00", "batch": 8, "depth": 20}`} {
		if manifest != "" {
			if err := os.WriteFile(filepath.Join(dir, manifestFile), []byte(manifest), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := LoadProver(dir); !errors.Is(err, ErrNoKeys) {
			t.Errorf("manifest %q: %v", manifest, err)
		}
	}
}
