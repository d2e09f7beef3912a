package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consensys/gnark/backend/groth16"
)

var madeSecretKeys [][]byte

// secretKeys are verifying keys of secrets that nobody kept, made once.
func secretKeys(t *testing.T) [][]byte {
	t.Helper()
	for len(madeSecretKeys) < len(Sizes) {
		_, key, err := groth16.Setup(compileOther(t, &hashCircuit{}))
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if _, err := key.WriteRawTo(&raw); err != nil {
			t.Fatal(err)
		}
		madeSecretKeys = append(madeSecretKeys, raw.Bytes())
	}
	return madeSecretKeys
}

// published is a folder as the ceremonies of all sizes leave it, with what they say they made; any bytes stand for proving keys and
// constraint systems.
func published(t *testing.T) (made []SizeOfKeys, dir string) {
	t.Helper()
	dir = t.TempDir()
	for i, size := range Sizes {
		material := Material{System: fmt.Appendf(nil, "system %d", size), ProvingKey: fmt.Appendf(nil, "key %d", size), VerifyingKey: secretKeys(t)[i]}
		material.Described = SizeOfKeys{
			Size: size, Constraints: 7, Circuit: digestOf(material.System),
			VKHash: textOfHash(keccak256(material.VerifyingKey)), ProvingKey: digestOf(material.ProvingKey),
		}
		if err := material.Publish(dir); err != nil {
			t.Fatal(err)
		}
		made = append(made, material.Described)
	}
	return made, dir
}

func TestPublishedKeysOfAllSizesMakeAManifestThatIsNotForDevelopment(t *testing.T) {
	out := t.TempDir()
	made, dir := published(t)
	made[0], made[2] = made[2], made[0] // the ceremonies are named in any order
	assembled, err := Assemble(made, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := assembled.Write(out); err != nil {
		t.Fatal(err)
	}
	keys, err := readKeys(func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(out, filepath.Base(name)))
	}, assembled.Hash)
	if err != nil || keys.UnsafeDevelopment || textOfHash(keys.Hash) != assembled.Hash {
		t.Fatal(keys, err)
	}
	if _, err := keys.UnsafeDevelopmentSetup(t.TempDir(), 1); err == nil {
		t.Error("a ceremony's keys were made anew")
	}
	if provingKey, _ := keys.names(8); provingKey != "window-8.pk" {
		t.Errorf("its proving key is looked for as %s", provingKey)
	}
}

func TestPublishedFilesThatTheirCeremoniesDidNotMakeAreRefused(t *testing.T) {
	for reason, damage := range map[string]func(dir string) error{
		"window-64.vk: no such file": func(dir string) error { return os.Remove(filepath.Join(dir, "window-64.vk")) },
		"window-8.pk: no such file":  func(dir string) error { return os.Remove(filepath.Join(dir, "window-8.pk")) },
		"window-1.vk is not the file": func(dir string) error {
			return os.Rename(filepath.Join(dir, "window-8.vk"), filepath.Join(dir, "window-1.vk"))
		},
		"window-256.pk is not the file": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "window-256.pk"), []byte("key 25"), 0o600)
		},
		"window-256.r1cs is not the file": func(dir string) error { return os.WriteFile(filepath.Join(dir, "window-256.r1cs"), nil, 0o600) },
	} {
		made, dir := published(t)
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Assemble(made, dir); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

// Not even where a transcript says that a ceremony made it.
func TestDevelopmentKeyAmongThoseOfCeremoniesIsRefused(t *testing.T) {
	made, dir := published(t)
	key, err := committed.ReadFile(verifyingKeyFile(64))
	if err != nil {
		t.Fatal(err)
	}
	made[2].VKHash = textOfHash(keccak256(key))
	if err := writeAtomic(dir, "window-64.vk", key); err != nil {
		t.Fatal(err)
	}
	if _, err := Assemble(made, dir); err == nil || !strings.Contains(err.Error(), "window-64.vk is a development key") {
		t.Fatal(err)
	}
}

func TestManifestNeedsOneCeremonyOfEachSize(t *testing.T) {
	made, dir := published(t)
	for reason, given := range map[string][]SizeOfKeys{
		"0 of the ceremonies are of size 256": made[:3],
		"0 of the ceremonies are of size 1":   nil,
		"2 of the ceremonies are of size 8":   {made[0], made[1], made[1], made[2], made[3]},
		"of another size":                     append(append([]SizeOfKeys(nil), made...), SizeOfKeys{Size: 7}),
	} {
		if _, err := Assemble(given, dir); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

func TestManifestOfAnotherFormIsRefused(t *testing.T) {
	for _, m := range []any{"text", Manifest{}, Manifest{Depth: Depth, Sizes: make([]SizeOfKeys, 4)}} {
		content, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readKeys(func(string) ([]byte, error) { return content, nil }, KeysHash); err == nil {
			t.Errorf("%s was taken", content)
		}
	}
}
