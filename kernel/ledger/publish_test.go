package ledger

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// published is a folder as the ceremonies of all sizes leave it, with the committed verifying keys.
func published(t *testing.T) string {
	t.Helper()
	keys, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, size := range Sizes {
		content, err := committed.ReadFile(verifyingKeyFile(size))
		if err != nil {
			t.Fatal(err)
		}
		material := Material{Described: keys.BySize[size].SizeOfKeys, VerifyingKey: content}
		if err := material.Publish(dir); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPublishedKeysOfAllSizesMakeAManifestThatIsNotForDevelopment(t *testing.T) {
	out := t.TempDir()
	hash, err := Assemble(published(t), out)
	if err != nil || hash != KeysHash {
		t.Fatal(hash, err)
	}
	keys, err := readKeys(func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(out, filepath.Base(name)))
	})
	if err != nil || keys.UnsafeDevelopment {
		t.Fatal(keys, err)
	}
	if _, err := keys.UnsafeDevelopmentSetup(t.TempDir(), 1); err == nil {
		t.Error("a ceremony's keys were made anew")
	}
	if provingKey, _ := keys.names(8); provingKey != "window-8.pk" {
		t.Errorf("its proving key is looked for as %s", provingKey)
	}
}

func TestPublishedKeysThatDontFitAreRefused(t *testing.T) {
	for reason, damage := range map[string]func(dir string) error{
		"has published nothing": func(dir string) error { return os.Remove(filepath.Join(dir, "window-64.json")) },
		"no such file":          func(dir string) error { return os.Remove(filepath.Join(dir, "window-64.vk")) },
		"is damaged":            func(dir string) error { return os.WriteFile(filepath.Join(dir, "window-8.json"), []byte("{"), 0o600) },
		"not the key of its manifest": func(dir string) error {
			return os.Rename(filepath.Join(dir, "window-8.vk"), filepath.Join(dir, "window-1.vk"))
		},
	} {
		dir := published(t)
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Assemble(dir, t.TempDir()); err == nil || !strings.Contains(err.Error(), reason) {
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
		if _, err := readKeys(func(string) ([]byte, error) { return content, nil }); err == nil {
			t.Errorf("%s was taken", content)
		}
	}
}
