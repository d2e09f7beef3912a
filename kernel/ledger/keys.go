package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/constraint"
	"golang.org/x/crypto/sha3"
)

// CircuitDigest is the SHA-256 of the serialized constraint system that this source compiles to. Pinned, so that stored
// keys can be matched with it without compiling; a test holds the two together.
const CircuitDigest = "3c66be94a25f63e23945bd13504b87265e8973d8920cc4ac13f7abe6e3faadf8"

// Names of the key files. A production ceremony's keys will have other names, never these.
const (
	manifestFile     = "update-lease.unsafe-development.json"
	provingKeyFile   = "update-lease.unsafe-development.pk"
	verifyingKeyFile = "update-lease.unsafe-development.vk"
	systemFile       = "update-lease.unsafe-development.r1cs"
)

// ErrNoKeys says that the directory holds no keys for this circuit.
var ErrNoKeys = errors.New("no keys")

// Manifest describes stored keys.
type Manifest struct {
	UnsafeDevelopment bool   `json:"unsafe_development"`
	Circuit           string `json:"circuit"`
	Constraints       int    `json:"constraints"`
	Batch             int    `json:"batch"`
	Depth             int    `json:"depth"`
	VKHash            string `json:"vk_hash"`
	ProvingKey        string `json:"proving_key"`
	VerifyingKey      string `json:"verifying_key"`
}

// VerifyingKey verifies batches.
type VerifyingKey struct {
	Manifest Manifest
	Hash     [32]byte // keccak256 of gnark's raw serialization
	key      groth16.VerifyingKey
}

// Prover proves batches. It holds the proving key in memory.
type Prover struct {
	*VerifyingKey
	system constraint.ConstraintSystem
	key    groth16.ProvingKey
}

// ReadManifest returns the manifest of keys for this circuit, or an error that wraps ErrNoKeys.
func ReadManifest(dir string) (Manifest, error) {
	var m Manifest
	content, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%w in %s", ErrNoKeys, dir)
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return m, fmt.Errorf("%w in %s: the manifest is damaged", ErrNoKeys, dir)
	}
	if m.Circuit != CircuitDigest || m.Batch != Batch || m.Depth != Depth {
		return m, fmt.Errorf("%w in %s: those there are for another version of the circuit", ErrNoKeys, dir)
	}
	return m, nil
}

// LoadVerifyingKey reads the verifying key only: a few hundred bytes.
func LoadVerifyingKey(dir string) (*VerifyingKey, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	content, err := readChecked(dir, verifyingKeyFile, m.VerifyingKey)
	if err != nil {
		return nil, err
	}
	return parseVerifyingKey(m, content)
}

func parseVerifyingKey(m Manifest, content []byte) (*VerifyingKey, error) {
	vk := &VerifyingKey{Manifest: m, Hash: keccak256(content), key: groth16.NewVerifyingKey(ecc.BN254)}
	if _, err := vk.key.ReadFrom(bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("%w: %s is damaged", ErrNoKeys, verifyingKeyFile)
	}
	return vk, nil
}

// LoadProver reads the constraint system and the proving key too.
func LoadProver(dir string) (*Prover, error) {
	vk, err := LoadVerifyingKey(dir)
	if err != nil {
		return nil, err
	}
	p := &Prover{VerifyingKey: vk, system: groth16.NewCS(ecc.BN254), key: groth16.NewProvingKey(ecc.BN254)}
	content, err := readChecked(dir, systemFile, CircuitDigest)
	if err != nil {
		return nil, err
	}
	if _, err := p.system.ReadFrom(bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("%w: %s is damaged", ErrNoKeys, systemFile)
	}
	if content, err = readChecked(dir, provingKeyFile, vk.Manifest.ProvingKey); err != nil {
		return nil, err
	}
	// A memory dump: its points are not checked again, the digest above stands for them.
	if err := p.key.ReadDump(bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("%w: %s is damaged", ErrNoKeys, provingKeyFile)
	}
	return p, nil
}

func readChecked(dir, name, digest string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s: %s is missing", ErrNoKeys, dir, name)
	}
	if err != nil {
		return nil, err
	}
	if digestOf(content) != digest {
		return nil, fmt.Errorf("%w in %s: %s is damaged", ErrNoKeys, dir, name)
	}
	return content, nil
}

// writeAtomic makes the file appear whole or not at all.
func writeAtomic(dir, name string, content []byte) error {
	temporary, err := os.CreateTemp(dir, name+".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // fails, as it should, once renamed
	if err := temporary.Chmod(0o644); err != nil {
		return errors.Join(err, temporary.Close())
	}
	if _, err := io.Copy(temporary, bytes.NewReader(content)); err != nil {
		return errors.Join(err, temporary.Close())
	}
	if err := temporary.Sync(); err != nil {
		return errors.Join(err, temporary.Close())
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), filepath.Join(dir, name))
}

func digestOf(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}

func keccak256(content []byte) [32]byte {
	keccak := sha3.NewLegacyKeccak256()
	keccak.Write(content)
	return [32]byte(keccak.Sum(nil))
}
