package mount

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOthersAreLetInOnlyWhereTheMachineSaysSo(t *testing.T) {
	for text, want := range map[string]bool{
		"user_allow_other\n":               true,
		"# a\n  user_allow_other # b\n":    true,
		"#user_allow_other\n":              false,
		"mount_max = 10\nuser_allow\n":     false,
		"":                                 false,
		"mount_max = 10\nuser_allow_other": true,
	} {
		path := filepath.Join(t.TempDir(), "fuse.conf")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := allows(path); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := allows(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "add the line user_allow_other to /etc/fuse.conf") {
		t.Errorf("without the file: %v", err)
	}
}
