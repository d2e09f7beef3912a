package ledger

import (
	"bytes"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/constraint"
)

// developmentSeed is public: whoever reads it can forge proofs. That is what makes the setup one for development, and
// the same on every machine, so that the committed Solidity verifier fits.
const developmentSeed = "shale unsafe development setup, update lease, 1"

var setupLock sync.Mutex

// UnsafeDevelopmentSetup makes sure that the directory holds development keys for this circuit, and tells whether it had
// to make them.
func UnsafeDevelopmentSetup(dir string) (Manifest, bool, error) {
	if m, err := ReadManifest(dir); err == nil && present(dir) {
		return m, false, nil
	} else if err != nil && !errors.Is(err, ErrNoKeys) {
		return m, false, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Manifest{}, false, err
	}
	system, serialized, err := compileChecked()
	if err != nil {
		return Manifest{}, false, err
	}
	provingKey, verifyingKey, err := developmentKeys(system)
	if err != nil {
		return Manifest{}, false, err
	}
	m, err := store(dir, system, serialized, provingKey, verifyingKey)
	return m, true, err
}

func present(dir string) bool {
	for _, name := range []string{provingKeyFile, verifyingKeyFile, systemFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

func compileChecked() (constraint.ConstraintSystem, []byte, error) {
	system, err := Compile()
	if err != nil {
		return nil, nil, err
	}
	var serialized bytes.Buffer
	if _, err := system.WriteTo(&serialized); err != nil {
		return nil, nil, err
	}
	if digest := digestOf(serialized.Bytes()); digest != CircuitDigest {
		return nil, nil, fmt.Errorf("the circuit compiles to %s, but CircuitDigest pins %s: pin it anew and export the verifier", digest, CircuitDigest)
	}
	return system, serialized.Bytes(), nil
}

// developmentKeys runs gnark's setup with the seeded stream in place of the system's randomness. gnark draws all of it in
// one goroutine, in a fixed order.
func developmentKeys(system constraint.ConstraintSystem) (groth16.ProvingKey, groth16.VerifyingKey, error) {
	setupLock.Lock()
	defer setupLock.Unlock()
	honest := cryptorand.Reader
	defer func() { cryptorand.Reader = honest }()
	cryptorand.Reader = rand.NewChaCha8(sha256.Sum256([]byte(developmentSeed)))
	return groth16.Setup(system)
}

// store writes the manifest last: keys without a manifest are no keys.
func store(dir string, system constraint.ConstraintSystem, serialized []byte, provingKey groth16.ProvingKey, verifyingKey groth16.VerifyingKey) (Manifest, error) {
	var pk, vk bytes.Buffer
	if err := provingKey.WriteDump(&pk); err != nil {
		return Manifest{}, err
	}
	if _, err := verifyingKey.WriteRawTo(&vk); err != nil {
		return Manifest{}, err
	}
	hash := keccak256(vk.Bytes())
	m := Manifest{
		UnsafeDevelopment: true,
		Circuit:           CircuitDigest,
		Constraints:       system.GetNbConstraints(),
		Batch:             Batch,
		Depth:             Depth,
		VKHash:            "0x" + hex.EncodeToString(hash[:]),
		ProvingKey:        digestOf(pk.Bytes()),
		VerifyingKey:      digestOf(vk.Bytes()),
	}
	manifest, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return Manifest{}, err
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{
		{systemFile, serialized},
		{provingKeyFile, pk.Bytes()},
		{verifyingKeyFile, vk.Bytes()},
		{manifestFile, append(manifest, '\n')},
	} {
		if err := writeAtomic(dir, file.name, file.content); err != nil {
			return Manifest{}, err
		}
	}
	return m, nil
}
