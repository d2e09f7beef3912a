package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
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

// Publish writes the material into a directory, as what it is: keys of a ceremony.
func (m *Material) Publish(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	provingKey, system := (&Keys{}).names(m.Described.Size)
	for name, content := range map[string][]byte{
		provingKey: m.ProvingKey,
		system:     m.System,
		filepath.Base(verifyingKeyFile(m.Described.Size)): m.VerifyingKey,
	} {
		if err := writeAtomic(dir, name, content); err != nil {
			return err
		}
	}
	return nil
}

// Assembled are a ceremony's keys of all sizes in the form that this source embeds.
type Assembled struct {
	Hash     string // what KeysHash has to pin
	manifest Manifest
	keys     map[string][]byte // by file
}

// Assemble takes the keys of all sizes that lie in a directory, as Publish writes them. Each file must be the one that its
// ceremony made, and no key a development key.
func Assemble(made []SizeOfKeys, published string) (*Assembled, error) {
	a := &Assembled{manifest: Manifest{Depth: Depth}, keys: map[string][]byte{}}
	var hashes []byte
	for _, size := range Sizes {
		var of []SizeOfKeys
		for _, m := range made {
			if m.Size == size {
				of = append(of, m)
			}
		}
		if len(of) != 1 {
			return nil, fmt.Errorf("%d of the ceremonies are of size %d: name one of each size, %v", len(of), size, Sizes)
		}
		key, err := publishedOf(of[0], published)
		if err != nil {
			return nil, err
		}
		hash := keccak256(key)
		hashes = append(hashes, hash[:]...)
		a.manifest.Sizes = append(a.manifest.Sizes, of[0])
		a.keys[filepath.Base(verifyingKeyFile(size))] = key
	}
	if len(made) != len(Sizes) {
		return nil, fmt.Errorf("a ceremony is of another size than %v", Sizes)
	}
	a.Hash = textOfHash(hashOfKeys(a.manifest.UnsafeDevelopment, hashes))
	return a, nil
}

// publishedOf checks the files of one size and returns the verifying key.
func publishedOf(made SizeOfKeys, dir string) ([]byte, error) {
	name := filepath.Base(verifyingKeyFile(made.Size))
	key, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	if isDevelopmentKey(key) {
		return nil, fmt.Errorf("%s is a development key, which anyone can forge proofs with: it has no place among a ceremony's", filepath.Join(dir, name))
	}
	if textOfHash(keccak256(key)) != made.VKHash {
		return nil, otherThanMade(dir, name, made.Size)
	}
	if _, err := parseVerifyingKey(made, key); err != nil {
		return nil, err
	}
	provingKey, system := (&Keys{}).names(made.Size)
	for _, file := range []File{{Name: system, Digest: made.Circuit}, {Name: provingKey, Digest: made.ProvingKey}} {
		digest, err := digestOfFile(filepath.Join(dir, file.Name))
		if err != nil {
			return nil, err
		}
		if digest != file.Digest {
			return nil, otherThanMade(dir, file.Name, made.Size)
		}
	}
	return key, nil
}

func otherThanMade(dir, name string, size int) error {
	return fmt.Errorf("%s is not the file that the ceremony of size %d made: take it from where the ceremony was finalised", filepath.Join(dir, name), size)
}

func digestOfFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// Write writes the verifying keys and the manifest into a directory, the manifest last.
func (a *Assembled) Write(out string) error {
	manifest, err := json.MarshalIndent(a.manifest, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for name, content := range a.keys {
		if err := writeAtomic(out, name, content); err != nil {
			return err
		}
	}
	return writeAtomic(out, "manifest.json", append(manifest, '\n'))
}
