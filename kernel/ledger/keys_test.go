package ledger

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cs "github.com/consensys/gnark/constraint/bn254"
)

var update = flag.Bool("update", false, "make keys or vectors anew and write them into the source tree")

// TestKeysAreMadeAnew writes the committed keys, of all sizes, and the proving keys into the cache: with -update, which takes
// minutes. KeysHash has to be pinned by hand then.
func TestKeysAreMadeAnew(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
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
		provingKey, system := (&Keys{UnsafeDevelopment: true}).names(size)
		for path, content := range map[string][]byte{
			verifyingKeyFile(size):                material.VerifyingKey,
			filepath.Join(keysDir(t), provingKey): material.ProvingKey,
			filepath.Join(keysDir(t), system):     material.System,
		} {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("size %d: %d constraints, a proving key of %d MiB, a system of %d MiB, %v",
			size, material.Described.Constraints, len(material.ProvingKey)>>20, len(material.System)>>20, time.Since(start))
	}
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("keys/manifest.json", append(content, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("pin KeysHash = %q", textOfHash(hashOfKeys(true, hashes)))
}

// keysDir is where make install caches the development keys.
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

// Of the sizes that a test has the time for; the digest of the proving key is checked with it.
func TestCommittedKeysAreWhatTheDevelopmentSetupMakes(t *testing.T) {
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 8} {
		material, err := DevelopmentMaterial(size)
		if err != nil {
			t.Fatal(err)
		}
		if material.Described != keys.BySize[size].SizeOfKeys {
			t.Errorf("size %d: made %+v, committed is %+v", size, material.Described, keys.BySize[size].SizeOfKeys)
		}
	}
}

// The larger circuits are what the source compiles to, though nobody made their keys again here.
func TestPinnedCircuitsAreTheCompiledOnes(t *testing.T) {
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range Sizes {
		start := time.Now()
		var serialized bytes.Buffer
		if _, err := compiledSize(t, size).WriteTo(&serialized); err != nil {
			t.Fatal(err)
		}
		if digest := digestOf(serialized.Bytes()); digest != keys.BySize[size].Circuit {
			t.Errorf("size %d compiles to %s, but the manifest has %s", size, digest, keys.BySize[size].Circuit)
		}
		t.Logf("size %d compiled and serialized in %v", size, time.Since(start))
	}
}

func TestDevelopmentKeysAreToldByThePointThatTheirSeedGives(t *testing.T) {
	for i, size := range Sizes {
		_, verifyingKey, err := developmentKeys(compileOther(t, &hashCircuit{}), fmt.Sprintf(developmentSeed, size))
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if _, err := verifyingKey.WriteRawTo(&raw); err != nil {
			t.Fatal(err)
		}
		if alpha := hex.EncodeToString(raw.Bytes()[:32]); alpha != developmentAlphas[i] || !isDevelopmentKey(raw.Bytes()) {
			t.Errorf("size %d: the seed gives %s", size, alpha)
		}
	}
}

// The word about development keys is turned round in the manifest; KeysHash is left, or pinned anew for it.
func TestDevelopmentKeysNeverPassForACeremonys(t *testing.T) {
	content, err := committed.ReadFile("keys/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var hashes []byte
	files := map[string][]byte{"keys/manifest.json": bytes.Replace(content, []byte(": true"), []byte(": false"), 1)}
	for _, size := range Sizes {
		if files[verifyingKeyFile(size)], err = committed.ReadFile(verifyingKeyFile(size)); err != nil {
			t.Fatal(err)
		}
		hash := keccak256(files[verifyingKeyFile(size)])
		hashes = append(hashes, hash[:]...)
	}
	for _, pinned := range []string{KeysHash, textOfHash(hashOfKeys(true, hashes)), textOfHash(hashOfKeys(false, hashes))} {
		_, err := readKeys(func(name string) ([]byte, error) { return files[name], nil }, pinned)
		if err == nil || !strings.Contains(err.Error(), "keys/window-1.vk is a development key") {
			t.Errorf("pinned %s: %v", pinned, err)
		}
	}
}

func TestKindOfKeysIsInTheirHash(t *testing.T) {
	hashes := make([]byte, 4*32)
	if hashOfKeys(true, hashes) == hashOfKeys(false, hashes) {
		t.Fatal("development keys and a ceremony's have one domain")
	}
}

func TestDevelopmentSetupLeavesTheSystemsRandomnessAlone(t *testing.T) {
	honest := rand.Reader
	if _, _, err := developmentKeys(compileOther(t, &hashCircuit{}).(*cs.R1CS), "any"); err != nil {
		t.Fatal(err)
	}
	if rand.Reader != honest {
		t.Fatal("the system's randomness was not put back")
	}
}

func TestSetupMakesAKeyOnceAndMakesADamagedOneAnew(t *testing.T) {
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	provingKey, _ := keys.names(1)
	if keys.Provable(dir, 1) {
		t.Fatal("provable without a key")
	}
	for step, wanted := range []bool{true, false, true} {
		if step == 2 {
			if err := os.WriteFile(filepath.Join(dir, provingKey), []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := keys.LoadProver(dir, 1); !errors.Is(err, ErrNoKeys) || !strings.Contains(err.Error(), "damaged") {
				t.Fatalf("a damaged key was loaded: %v", err)
			}
		}
		made, err := keys.UnsafeDevelopmentSetup(dir, 1)
		if err != nil || made != wanted {
			t.Fatalf("step %d: made %t, %v", step, made, err)
		}
	}
	if !keys.Provable(dir, 1) || keys.Provable(dir, 8) {
		t.Fatal("provable is not what lies there")
	}
	if _, err := keys.LoadProver(dir, 8); !errors.Is(err, ErrNoKeys) {
		t.Fatalf("size 8: %v", err)
	}
}

// The files of the sizes that make install makes: a bound that one of them reaches would keep honest keys from being fetched.
func TestFilesOfASizeAreWellWithinTheBoundThatItsCircuitSets(t *testing.T) {
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 8, 64} {
		for _, file := range keys.Files(size) {
			info, err := os.Stat(filepath.Join(keysDir(t), file.Name))
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() > file.Most*3/4 || info.Size() < file.Most/10 {
				t.Errorf("%s has %d bytes, at most %d are taken", file.Name, info.Size(), file.Most)
			}
		}
	}
	if keys.Files(7) != nil || keys.Provable(keysDir(t), 7) {
		t.Error("there is no size 7")
	}
}

func TestKeysOtherThanThePinnedOnesAreRefused(t *testing.T) {
	content, err := committed.ReadFile("keys/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		t.Fatal(err)
	}
	swapped, err := committed.ReadFile(verifyingKeyFile(8))
	if err != nil {
		t.Fatal(err)
	}
	for reason, change := range map[string]func(m *Manifest, files map[string][]byte){
		"another version":        func(m *Manifest, _ map[string][]byte) { m.Depth = 19 },
		"stands where 1 belongs": func(m *Manifest, _ map[string][]byte) { m.Sizes[0], m.Sizes[1] = m.Sizes[1], m.Sizes[0] },
		"not the key of its":     func(_ *Manifest, files map[string][]byte) { files[verifyingKeyFile(1)] = swapped },
		"but KeysHash pins": func(m *Manifest, files map[string][]byte) {
			files[verifyingKeyFile(1)] = swapped
			m.Sizes[0].VKHash = m.Sizes[1].VKHash
		},
		"EOF": func(m *Manifest, files map[string][]byte) {
			files[verifyingKeyFile(1)] = nil
			m.Sizes[0].VKHash = textOfHash(keccak256(nil))
		},
	} {
		changed := m
		changed.Sizes = append([]SizeOfKeys(nil), m.Sizes...)
		files := map[string][]byte{}
		change(&changed, files)
		manifest, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		files["keys/manifest.json"] = manifest
		_, err = readKeys(func(name string) ([]byte, error) {
			if content, ok := files[name]; ok {
				return content, nil
			}
			return committed.ReadFile(name)
		}, KeysHash)
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}
