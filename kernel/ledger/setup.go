package ledger

import (
	"bytes"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/shale-cloud/shale/kernel/fastgroth"
)

// developmentSeed is public: whoever reads it can forge proofs. That is what makes the setup one for development, and
// the same on every machine, so that the committed verifying keys fit.
const developmentSeed = "shale unsafe development setup, window of %d, 2"

// developmentAlphas are the X of alpha, the first word of a raw verifying key, that the seed gives, a size each. It is drawn
// before anything of the circuit is looked at: whatever circuit the seed made a key for, this tells it.
var developmentAlphas = [...]string{
	"1fed6ce2f0ba2fb1cce4cf3d6c4d55f5a854c429559bff8a997c7b9803608e6a",
	"02b351cd952bdd8645743141274640559a6f2de40c8502c7885f1b4c58fece27",
	"0b50f3c69790c25bb694818f73025059cb6ef1c0cedda15d4b9e6f11c00826f9",
	"09dca6254c795aa2250e84291a7fa71e71eeed3716151a3a92cbd9a9c876b7ac",
}

// isDevelopmentKey tells whether a raw verifying key is made from the public seed, for any size.
func isDevelopmentKey(raw []byte) bool {
	return len(raw) >= 32 && slices.Contains(developmentAlphas[:], hex.EncodeToString(raw[:32]))
}

var setupLock sync.Mutex

// Material is all that a setup makes for one size, in the forms that are stored.
type Material struct {
	Described    SizeOfKeys
	System       []byte // the constraint system
	ProvingKey   []byte // gnark's memory dump
	VerifyingKey []byte // gnark's raw form
}

// UnsafeDevelopmentSetup makes sure that the directory holds the development proving key of a size, and tells whether
// it had to make it. What it makes must be what the committed manifest describes.
func (k *Keys) UnsafeDevelopmentSetup(dir string, size int) (made bool, err error) {
	if !k.UnsafeDevelopment {
		return false, errors.New("the pinned keys are a ceremony's: their proving keys cannot be made here")
	}
	vk := k.BySize[size]
	if vk == nil {
		return false, fmt.Errorf("there is no size %d: the sizes are %v", size, Sizes)
	}
	provingKeyName, systemName := k.names(size)
	_, systemErr := readChecked(dir, systemName, vk.Circuit)
	if _, err := readChecked(dir, provingKeyName, vk.ProvingKey); err == nil && systemErr == nil {
		return false, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	material, err := DevelopmentMaterial(size)
	if err != nil {
		return false, err
	}
	if material.Described != vk.SizeOfKeys {
		return false, fmt.Errorf("the setup of size %d makes other keys than the committed ones: the circuit has changed, or a library", size)
	}
	if err := writeAtomic(dir, systemName, material.System); err != nil {
		return false, err
	}
	return true, writeAtomic(dir, provingKeyName, material.ProvingKey)
}

// DevelopmentMaterial compiles the circuit of a size and runs the development setup for it.
func DevelopmentMaterial(size int) (*Material, error) {
	system, err := Compile(size)
	if err != nil {
		return nil, err
	}
	provingKey, verifyingKey, err := developmentKeys(system, fmt.Sprintf(developmentSeed, size))
	if err != nil {
		return nil, err
	}
	return materialOf(size, system, provingKey, verifyingKey)
}

func materialOf(size int, system constraint.ConstraintSystem, provingKey groth16.ProvingKey, verifyingKey groth16.VerifyingKey) (*Material, error) {
	var compiled, pk, vk bytes.Buffer
	if _, err := system.WriteTo(&compiled); err != nil {
		return nil, err
	}
	if err := provingKey.WriteDump(&pk); err != nil {
		return nil, err
	}
	if _, err := verifyingKey.WriteRawTo(&vk); err != nil {
		return nil, err
	}
	return &Material{
		Described: SizeOfKeys{
			Size: size, Constraints: system.GetNbConstraints(), Circuit: digestOf(compiled.Bytes()),
			VKHash: textOfHash(keccak256(vk.Bytes())), ProvingKey: digestOf(pk.Bytes()),
		},
		System: compiled.Bytes(), ProvingKey: pk.Bytes(), VerifyingKey: vk.Bytes(),
	}, nil
}

// developmentKeys runs the setup with the seeded stream in place of the system's randomness: all of it is drawn in one
// goroutine, in gnark's order, so that gnark's own setup makes the same keys.
func developmentKeys(system constraint.ConstraintSystem, seed string) (groth16.ProvingKey, groth16.VerifyingKey, error) {
	setupLock.Lock()
	defer setupLock.Unlock()
	honest := cryptorand.Reader
	defer func() { cryptorand.Reader = honest }()
	cryptorand.Reader = rand.NewChaCha8(sha256.Sum256([]byte(seed)))
	return fastgroth.Setup(system.(*cs.R1CS))
}
