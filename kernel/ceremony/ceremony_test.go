package ceremony_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/logger"

	"github.com/shale-cloud/shale/kernel/ceremony"
	"github.com/shale-cloud/shale/kernel/ledger"
)

func init() { logger.Disable() }

// smallCircuit stands for the ledger's where only the chain matters: y = x^(2^n).
type smallCircuit struct {
	X frontend.Variable
	Y frontend.Variable `gnark:",public"`
	n int
}

func (c *smallCircuit) Define(api frontend.API) error {
	power := c.X
	for range c.n {
		power = api.Mul(power, power)
	}
	api.AssertIsEqual(power, c.Y)
	return nil
}

func small(t *testing.T, n int) ceremony.Circuit {
	t.Helper()
	system, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &smallCircuit{n: n})
	if err != nil {
		t.Fatal(err)
	}
	return ceremony.Circuit{Size: 1, System: system}
}

// digested stores nothing: it tells the digests of the raw keys.
func digested(k ceremony.Keys) (string, string, error) {
	var verifying, proving bytes.Buffer
	if _, err := k.Verifying.WriteRawTo(&verifying); err != nil {
		return "", "", err
	}
	_, err := k.Proving.WriteRawTo(&proving)
	return sha(verifying.Bytes()), sha(proving.Bytes()), err
}

var beacon = bytes.Repeat([]byte{7}, 32)

// begun is a ceremony of the small circuit with two contributions.
func begun(t *testing.T) (dir string, circuit ceremony.Circuit, powers string) {
	t.Helper()
	dir, circuit, powers = filepath.Join(t.TempDir(), "c"), small(t, 6), honestPowers(4).write(t)
	if _, err := ceremony.Init(dir, circuit, powers, ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Ada", "Grace Hopper, Arlington"} {
		if _, err := ceremony.Contribute(dir, circuit, name); err != nil {
			t.Fatal(err)
		}
	}
	return dir, circuit, powers
}

func TestSmallCeremonyMakesKeysThatProve(t *testing.T) {
	dir, circuit, powers := begun(t)
	if _, err := ceremony.Verify(dir, circuit, powers, digested); err != nil {
		t.Fatal(err)
	}
	if _, err := ceremony.Ended(dir); err == nil || !strings.Contains(err.Error(), "is not finalised") {
		t.Errorf("before its end: %v", err)
	}
	var keys ceremony.Keys
	keep := func(k ceremony.Keys) (string, string, error) {
		keys = k
		return digested(k)
	}
	if _, err := ceremony.Finalise(dir, circuit, powers, beacon, "drand round 1", keep); err != nil {
		t.Fatal(err)
	}
	transcript, err := ceremony.Verify(dir, circuit, powers, digested)
	if err != nil || len(transcript.Contributions) != 3 || transcript.Final.Beacon != hex.EncodeToString(beacon) {
		t.Fatal(transcript, err)
	}
	if ended, err := ceremony.Ended(dir); err != nil || *ended.Final != *transcript.Final {
		t.Error(ended, err)
	}
	if err := ceremony.VerifyChain(dir, circuit); err != nil {
		t.Error(err)
	}
	if err := ceremony.VerifyChain(dir, small(t, 7)); err == nil || !strings.Contains(err.Error(), "another circuit") {
		t.Error(err)
	}
	assigned, err := frontend.NewWitness(&smallCircuit{X: 1, Y: 1, n: 6}, ecc.BN254.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	proof, err := groth16.Prove(circuit.System, keys.Proving, assigned)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := assigned.Public()
	if err := groth16.Verify(proof, keys.Verifying, public); err != nil {
		t.Fatal(err)
	}
	if _, err := ceremony.Contribute(dir, circuit, "late"); err == nil {
		t.Error("a contribution after the beacon was taken")
	}
	if _, err := ceremony.Finalise(dir, circuit, powers, beacon, "again", digested); err == nil {
		t.Error("a second beacon was taken")
	}
}

func TestTamperedCeremoniesAreRefused(t *testing.T) {
	other, otherCircuit, _ := begun(t)
	stranger := honestPowers(4)
	stranger.tau++
	for name, c := range map[string]struct {
		tamper func(t *testing.T, dir string, transcript *ceremony.Transcript)
		reason string
	}{ // "powers" in the reason: the chain alone doesn't tell
		"a contribution's file changed": {func(t *testing.T, dir string, _ *ceremony.Transcript) {
			flip(t, filepath.Join(dir, "0001.phase2"), 40)
		}, "not the file that the transcript names"},
		"a contribution changed, and its digest": {func(t *testing.T, dir string, transcript *ceremony.Transcript) {
			path := filepath.Join(dir, "0002.phase2")
			content := read(t, path)
			copy(content[2+32+4:], content[2+32+4+32:2+32+4+64]) // one point is the next one
			write(t, path, content)
			transcript.Contributions[2].SHA256 = sha(content)
		}, "update inconsistent"},
		"another ceremony's contribution": {func(t *testing.T, dir string, transcript *ceremony.Transcript) {
			content := read(t, filepath.Join(other, "0002.phase2"))
			write(t, filepath.Join(dir, "0002.phase2"), content)
			transcript.Contributions[2].SHA256 = sha(content)
		}, "challenge does not match"},
		"a contribution left out": {func(t *testing.T, dir string, transcript *ceremony.Transcript) {
			content := read(t, filepath.Join(dir, "0002.phase2"))
			write(t, filepath.Join(dir, "0001.phase2"), content)
			transcript.Contributions = transcript.Contributions[:2]
			transcript.Contributions[1].SHA256 = sha(content)
		}, "challenge does not match"},
		"another start": {func(t *testing.T, dir string, transcript *ceremony.Transcript) {
			fresh := filepath.Join(t.TempDir(), "fresh")
			if _, err := ceremony.Init(fresh, otherCircuit, stranger.write(t), ""); err != nil {
				t.Fatal(err)
			}
			content := read(t, filepath.Join(fresh, "0000.phase2"))
			write(t, filepath.Join(dir, "0000.phase2"), content)
			transcript.Contributions = transcript.Contributions[:1]
			transcript.Contributions[0].SHA256 = sha(content)
		}, "doesn't start from these powers"},
		"other powers": {func(_ *testing.T, _ string, transcript *ceremony.Transcript) {
			transcript.Powers.SHA256 = strings.Repeat("0", 64)
		}, "not the powers of tau file of this ceremony"},
		"another circuit": {func(_ *testing.T, _ string, transcript *ceremony.Transcript) {
			transcript.Circuit = strings.Repeat("0", 64)
		}, "another circuit"},
		"a path for a file": {func(_ *testing.T, _ string, transcript *ceremony.Transcript) {
			transcript.Contributions[1].File = "../0001.phase2"
		}, "wrong file or name"},
		"a huge length in a file": {func(t *testing.T, dir string, transcript *ceremony.Transcript) {
			path := filepath.Join(dir, "0001.phase2")
			content := read(t, path)
			copy(content[2+32:], []byte{0xff, 0xff, 0xff, 0xff})
			write(t, path, content)
			transcript.Contributions[1].SHA256 = sha(content)
		}, "wrong form"},
		"a file that is too long": {func(t *testing.T, dir string, _ *ceremony.Transcript) {
			path := filepath.Join(dir, "0001.phase2")
			write(t, path, append(read(t, path), 0))
		}, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, circuit, powers := begun(t)
			transcript, err := ceremony.ReadTranscript(dir)
			if err != nil {
				t.Fatal(err)
			}
			c.tamper(t, dir, transcript)
			content, err := json.Marshal(transcript)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "ceremony.json"), content)
			if _, err := ceremony.Verify(dir, circuit, powers, digested); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("verify: %v", err)
			}
			if err := ceremony.VerifyChain(dir, circuit); (err == nil) != strings.Contains(c.reason, "powers") {
				t.Errorf("its chain: %v", err)
			}
			if _, err := ceremony.Finalise(dir, circuit, powers, beacon, "drand", digested); err == nil {
				t.Error("it was finalised")
			}
		})
	}
}

func TestWrongBeaconIsRefused(t *testing.T) {
	dir, circuit, powers := begun(t)
	for _, wrong := range [][]byte{nil, make([]byte, 15), make([]byte, 257)} {
		if _, err := ceremony.Finalise(dir, circuit, powers, wrong, "drand", digested); err == nil {
			t.Errorf("a beacon of %d bytes was taken", len(wrong))
		}
	}
	transcript, err := ceremony.Finalise(dir, circuit, powers, beacon, "drand round 1", digested)
	if err != nil {
		t.Fatal(err)
	}
	transcript.Final.Beacon = strings.Repeat("08", 32)
	content, err := json.Marshal(transcript)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ceremony.json"), content)
	if _, err := ceremony.Verify(dir, circuit, powers, digested); err == nil || !strings.Contains(err.Error(), "other keys") {
		t.Error(err)
	}
}

func TestCeremonyWithoutContributionsHasNoEnd(t *testing.T) {
	dir, circuit, powers := filepath.Join(t.TempDir(), "c"), small(t, 6), honestPowers(4).write(t)
	if _, err := ceremony.Init(dir, circuit, powers, strings.Repeat("0", 128)); err == nil || !strings.Contains(err.Error(), "not the published one") {
		t.Errorf("another digest: %v", err)
	}
	if _, err := ceremony.Init(dir, circuit, powers, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := ceremony.Init(dir, circuit, powers, ""); err == nil {
		t.Error("a second ceremony in one folder")
	}
	if _, err := ceremony.Finalise(dir, circuit, powers, beacon, "drand", digested); err == nil || !strings.Contains(err.Error(), "nobody has contributed") {
		t.Error(err)
	}
	for _, name := range []string{"", "a\nb", strings.Repeat("x", 101)} {
		if _, err := ceremony.Contribute(dir, circuit, name); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
	if _, err := ceremony.Contribute(dir, small(t, 7), "Ada"); err == nil || !strings.Contains(err.Error(), "another circuit") {
		t.Error(err)
	}
}

// The ledger's smallest circuit from powers of tau to a proof: what a real ceremony does, with less of everything.
func TestCeremonyOfOneSlotFromPowersToProof(t *testing.T) {
	if testing.Short() {
		t.Skip("transforms points for a minute of two cores")
	}
	system, err := ledger.Compile(1)
	if err != nil {
		t.Fatal(err)
	}
	circuit := ceremony.Circuit{Size: 1, System: system}
	dir, out, powers := filepath.Join(t.TempDir(), "c"), t.TempDir(), honestPowers(14).write(t)
	if _, err := ceremony.Init(dir, circuit, powers, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := ceremony.Contribute(dir, circuit, "Ada"); err != nil {
		t.Fatal(err)
	}
	made := func(k ceremony.Keys) (string, string, error) {
		material, err := ledger.CeremonyMaterial(1, system, k.Proving, k.Verifying) // which proves a batch and verifies it
		if err != nil {
			return "", "", err
		}
		return material.Described.VKHash, material.Described.ProvingKey, material.Publish(out)
	}
	transcript, err := ceremony.Finalise(dir, circuit, powers, beacon, "drand round 1", made)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ledger.Pinned()
	if err != nil {
		t.Fatal(err)
	}
	if transcript.Circuit != keys.BySize[1].Circuit || transcript.Final.VKHash == keys.BySize[1].VKHash {
		t.Fatal("the ceremony is not of the pinned circuit, or made the development key")
	}
	for _, name := range []string{"window-1.pk", "window-1.r1cs", "window-1.vk"} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	content := read(t, path)
	content[at] ^= 1
	write(t, path, content)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func sha(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}
