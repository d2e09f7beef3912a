package ledger

import (
	"bytes"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	"golang.org/x/crypto/sha3"
)

// KeysHash pins the verifying keys that this source takes, and what kind they are (hashOfKeys). Keys of a ceremony are put to
// use by committing their files and this hash.
const KeysHash = "0xa533fb335094caf2b948c7a904097c853662c1e602e0ee68b0ef337dd6872467"

//go:embed keys/manifest.json keys/*.vk
var committed embed.FS

// Manifest describes the keys that are in use.
type Manifest struct {
	UnsafeDevelopment bool         `json:"unsafe_development"`
	Depth             int          `json:"depth"`
	Sizes             []SizeOfKeys `json:"sizes"`
}

// SizeOfKeys describes those of one size. Digests are SHA-256: of the constraint system and of the proving key's file.
type SizeOfKeys struct {
	Size        int    `json:"size"`
	Constraints int    `json:"constraints"`
	Circuit     string `json:"circuit"`
	VKHash      string `json:"vk_hash"`
	ProvingKey  string `json:"proving_key"`
}

// VerifyingKey verifies batches of one size.
type VerifyingKey struct {
	SizeOfKeys
	Hash [32]byte // keccak256 of gnark's raw serialization
	key  groth16.VerifyingKey
}

// Keys are the verifying keys of all sizes.
type Keys struct {
	UnsafeDevelopment bool
	Hash              [32]byte
	BySize            map[int]*VerifyingKey
}

// Pinned returns the committed keys, checked against KeysHash once.
var Pinned = sync.OnceValues(func() (*Keys, error) { return readKeys(committed.ReadFile, KeysHash) })

// readKeys takes the keys whose hash is pinned, and never development keys as a ceremony's.
func readKeys(readFile func(name string) ([]byte, error), pinned string) (*Keys, error) {
	content, err := readFile("keys/manifest.json")
	if err != nil {
		return nil, err
	}
	var m Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, fmt.Errorf("keys/manifest.json: %w", err)
	}
	if m.Depth != Depth || len(m.Sizes) != len(Sizes) {
		return nil, errors.New("keys/manifest.json is for another version of the circuit")
	}
	keys := &Keys{UnsafeDevelopment: m.UnsafeDevelopment, BySize: map[int]*VerifyingKey{}}
	var hashes []byte
	for i, described := range m.Sizes {
		if described.Size != Sizes[i] {
			return nil, fmt.Errorf("keys/manifest.json: size %d stands where %d belongs", described.Size, Sizes[i])
		}
		content, err := readFile(verifyingKeyFile(described.Size))
		if err != nil {
			return nil, err
		}
		vk, err := parseVerifyingKey(described, content)
		if err != nil {
			return nil, err
		}
		if !m.UnsafeDevelopment && isDevelopmentKey(content) {
			return nil, fmt.Errorf("keys/manifest.json says \"unsafe_development\": false, but %s is a development key, with which anyone can forge proofs: "+
				"put \"unsafe_development\": true, or a ceremony's keys there (shale ceremony manifest)", verifyingKeyFile(described.Size))
		}
		keys.BySize[described.Size] = vk
		hashes = append(hashes, vk.Hash[:]...)
	}
	if keys.Hash = hashOfKeys(m.UnsafeDevelopment, hashes); textOfHash(keys.Hash) != pinned {
		return nil, fmt.Errorf("the verifying keys hash to %s, but KeysHash pins %s", textOfHash(keys.Hash), pinned)
	}
	return keys, nil
}

// hashOfKeys is keccak256 over the hash of a word for the kind of keys and the hashes of the keys of all sizes, the smallest
// first. The kind is in it so that no word about development keys can be changed without another domain of vouchers.
func hashOfKeys(unsafeDevelopment bool, hashes []byte) [32]byte {
	kind := keccak256([]byte("shale.keys.ceremony"))
	if unsafeDevelopment {
		kind = keccak256([]byte("shale.keys.unsafe-development"))
	}
	return keccak256(append(kind[:], hashes...))
}

func parseVerifyingKey(described SizeOfKeys, content []byte) (*VerifyingKey, error) {
	vk := &VerifyingKey{SizeOfKeys: described, Hash: keccak256(content), key: groth16.NewVerifyingKey(ecc.BN254)}
	if textOfHash(vk.Hash) != described.VKHash {
		return nil, fmt.Errorf("%s is not the key of its manifest", verifyingKeyFile(described.Size))
	}
	if _, err := vk.key.ReadFrom(bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("%s: %w", verifyingKeyFile(described.Size), err)
	}
	return vk, nil
}

func verifyingKeyFile(size int) string { return fmt.Sprintf("keys/window-%d.vk", size) }

func textOfHash(hash [32]byte) string { return "0x" + hex.EncodeToString(hash[:]) }

func keccak256(content []byte) [32]byte {
	keccak := sha3.NewLegacyKeccak256()
	keccak.Write(content)
	return [32]byte(keccak.Sum(nil))
}
