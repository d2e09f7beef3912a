package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/shale-cloud/shale/kernel/fastgroth"
)

// ErrNoKeys says that the directory lacks the files that proving needs.
var ErrNoKeys = errors.New("no keys")

// Prover proves batches of one size. It holds the proving key in memory.
type Prover struct {
	*VerifyingKey
	prover *fastgroth.Prover
}

// names of the files of a size. Keys that anyone can forge with say so.
func (k *Keys) names(size int) (provingKey, system string) {
	kind := ""
	if k.UnsafeDevelopment {
		kind = ".unsafe-development"
	}
	return fmt.Sprintf("window-%d%s.pk", size, kind), fmt.Sprintf("window-%d.r1cs", size)
}

// File is one that the proofs of a size need, in the keys' folder.
type File struct {
	Name   string
	Digest string // SHA-256, in hex
	Most   int64  // bytes: no larger file can be meant, whoever offers it
}

// A proving key has, for each wire, three points of G1 and one of G2, and for each row of the domain one of G1; there are
// fewer wires than twice the constraints, and fewer rows. A constraint takes about 130 bytes of a compiled system.
const (
	provingKeyBytes = 2*(3*64+128) + 2*64
	systemBytes     = 512
	headBytes       = 1 << 20
)

// Files are those that proofs of the size need; nil if there is no such size.
func (k *Keys) Files(size int) []File {
	vk := k.BySize[size]
	if vk == nil {
		return nil
	}
	provingKey, system := k.names(size)
	most := func(bytes int64) int64 { return headBytes + bytes*int64(vk.Constraints) }
	return []File{{system, vk.Circuit, most(systemBytes)}, {provingKey, vk.ProvingKey, most(provingKeyBytes)}}
}

// Provable tells whether the directory has the files that proofs of the size need. Their content is checked when they
// are loaded.
func (k *Keys) Provable(dir string, size int) bool {
	for _, file := range k.Files(size) {
		if info, err := os.Stat(filepath.Join(dir, file.Name)); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return k.BySize[size] != nil
}

// LoadProver reads the constraint system and the proving key of a size.
func (k *Keys) LoadProver(dir string, size int) (*Prover, error) {
	vk := k.BySize[size]
	if vk == nil {
		return nil, fmt.Errorf("%w: there is no size %d", ErrNoKeys, size)
	}
	provingKeyName, systemName := k.names(size)
	content, err := readChecked(dir, systemName, vk.Circuit)
	if err != nil {
		return nil, err
	}
	system, key := new(cs.R1CS), new(groth16.ProvingKey)
	if _, err := system.ReadFrom(bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("%w: %s is damaged", ErrNoKeys, systemName)
	}
	if content, err = readChecked(dir, provingKeyName, vk.ProvingKey); err != nil {
		return nil, err
	}
	// A memory dump: its points are not checked again, the digest above stands for them.
	if err := key.ReadDump(bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("%w: %s is damaged", ErrNoKeys, provingKeyName)
	}
	prover, err := fastgroth.NewProver(system, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoKeys, provingKeyName, err)
	}
	return &Prover{VerifyingKey: vk, prover: prover}, nil
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
		return nil, fmt.Errorf("%w in %s: %s is damaged or of another version", ErrNoKeys, dir, name)
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
