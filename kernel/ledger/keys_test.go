package ledger

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "make the keys or vectors anew and write them into the source tree")

// With -update this makes the committed keys, of all sizes, anew; then KeysHash has to be pinned by hand.
func TestCommittedKeysAreWhatTheDevelopmentSetupMakes(t *testing.T) {
	if *update {
		writeKeys(t)
	}
}

func writeKeys(t *testing.T) {
	m := Manifest{UnsafeDevelopment: true, Depth: Depth}
	var hashes []byte
	for _, size := range Sizes {
		start := time.Now()
		material, err := DevelopmentMaterial(size)
		if err != nil {
			t.Fatal(err)
		}
		m.Sizes = append(m.Sizes, material.Described)
		hash := keccak256(material.VerifyingKey)
		hashes = append(hashes, hash[:]...)
		if err := os.WriteFile(verifyingKeyFile(size), material.VerifyingKey, 0o644); err != nil {
			t.Fatal(err)
		}
		if dir := os.Getenv("SHALE_KEYS"); dir != "" {
			names := &Keys{UnsafeDevelopment: true}
			pk, system := names.names(size)
			for name, content := range map[string][]byte{pk: material.ProvingKey, system: material.System} {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		fmt.Printf("size %d: %d constraints, proving key of %d MiB, system of %d MiB, %v\n", size, material.Described.Constraints, len(material.ProvingKey)>>20, len(material.System)>>20, time.Since(start))
	}
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("keys/manifest.json", append(content, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("pin KeysHash = %q\n", textOfHash(keccak256(hashes)))
	_ = bytes.Equal
}

// keysDir is where make install caches the development keys; without them the test makes what it needs.
func keysDir(t *testing.T) string {
	t.Helper()
	if chosen := os.Getenv("SHALE_KEYS"); chosen != "" {
		return chosen
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return t.TempDir()
	}
	return filepath.Join(cache, "shale", "keys")
}
