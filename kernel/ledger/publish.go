package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
)

// CeremonyMaterial puts the keys that a ceremony made for a size into the forms that are stored, after a proof that they
// prove and verify.
func CeremonyMaterial(size int, system constraint.ConstraintSystem, provingKey groth16.ProvingKey, verifyingKey groth16.VerifyingKey) (*Material, error) {
	material, err := materialOf(size, system, provingKey, verifyingKey)
	if err != nil {
		return nil, err
	}
	vk, err := parseVerifyingKey(material.Described, material.VerifyingKey)
	if err != nil {
		return nil, err
	}
	transition, err := sample(size)
	if err != nil {
		return nil, err
	}
	proof, err := proveWith(system, provingKey, transition)
	if err != nil {
		return nil, err
	}
	if !vk.Verify(transition.Inputs, proof) {
		return nil, fmt.Errorf("a proof with the keys of size %d does not verify", size)
	}
	return material, nil
}

// sample is a batch to try keys with: one lease inserted.
func sample(size int) (*Transition, error) {
	return Apply(wordOf(1), size, 0, nil, []Operation{{Leaf: Leaf{LeaseID: wordOf(2)}, Insert: true}})
}

func proveWith(system constraint.ConstraintSystem, key groth16.ProvingKey, t *Transition) (Proof, error) {
	assigned, err := frontend.NewWitness(t.assignment(), ecc.BN254.ScalarField())
	if err != nil {
		return Proof{}, err
	}
	raw, err := groth16.Prove(system, key, assigned)
	if err != nil {
		return Proof{}, err
	}
	return wordsOf(raw.(*groth16bn254.Proof)), nil
}

func describedFile(size int) string { return fmt.Sprintf("window-%d.json", size) }

// Publish writes the material into a directory, as what it is: keys of a ceremony.
func (m *Material) Publish(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	described, err := json.MarshalIndent(m.Described, "", "  ")
	if err != nil {
		return err
	}
	provingKey, system := (&Keys{}).names(m.Described.Size)
	for name, content := range map[string][]byte{
		provingKey: m.ProvingKey,
		system:     m.System,
		filepath.Base(verifyingKeyFile(m.Described.Size)): m.VerifyingKey,
		describedFile(m.Described.Size):                   append(described, '\n'),
	} {
		if err := writeAtomic(dir, name, content); err != nil {
			return err
		}
	}
	return nil
}

// Assemble takes the published keys of all sizes into the form that this source embeds: a manifest and the verifying keys,
// in a directory. It returns the hash that KeysHash has to pin.
func Assemble(published, out string) (string, error) {
	m := Manifest{Depth: Depth}
	var hashes []byte
	files := map[string][]byte{}
	for _, size := range Sizes {
		content, err := os.ReadFile(filepath.Join(published, describedFile(size)))
		if err != nil {
			return "", fmt.Errorf("the ceremony of size %d has published nothing there: %w", size, err)
		}
		var described SizeOfKeys
		if err := json.Unmarshal(content, &described); err != nil || described.Size != size {
			return "", errors.Join(fmt.Errorf("%s is damaged", describedFile(size)), err)
		}
		name := filepath.Base(verifyingKeyFile(size))
		key, err := os.ReadFile(filepath.Join(published, name))
		if err != nil {
			return "", err
		}
		vk, err := parseVerifyingKey(described, key)
		if err != nil {
			return "", err
		}
		m.Sizes = append(m.Sizes, described)
		hashes = append(hashes, vk.Hash[:]...)
		files[name] = key
	}
	manifest, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", err
	}
	for name, content := range files {
		if err := writeAtomic(out, name, content); err != nil {
			return "", err
		}
	}
	return textOfHash(keccak256(hashes)), writeAtomic(out, "manifest.json", append(manifest, '\n'))
}
