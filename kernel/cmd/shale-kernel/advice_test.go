package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatIsNotThereIsNamedWithWhatToDo(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	for _, args := range [][]string{{"ls", none}, {"cat", none, "x"}, {"pack", none, filepath.Join(dir, "out.car")}, {"pack", dir, filepath.Join(none, "out.car")}} {
		err := commands[args[0]].run(args[1:])
		if err == nil {
			t.Errorf("%v: no error", args)
			continue
		}
		if got, want := advised(err), none+": no such file or directory: check the path"; got != want {
			t.Errorf("%v: %s", args, got)
		}
	}
}

func TestAnErrorAroundWhatTheSystemSaysStays(t *testing.T) {
	_, err := os.Open("/none")
	if got, want := advised(fmt.Errorf("piece 3: %w", err)), "piece 3: /none: no such file or directory: check the path"; got != want {
		t.Error(got)
	}
	if got := advised(errUsage); got != "usage" {
		t.Error(got)
	}
}

func TestAFileThatIsNotInADatasetIsSoughtInItsListing(t *testing.T) {
	dir, car := t.TempDir(), filepath.Join(t.TempDir(), "d.car")
	if err := os.MkdirAll(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	output(t, "pack", dir, car)
	for path, want := range map[string]string{
		"nope": `no file "nope" in it: shale piece ls lists its files`,
		"a":    `"a" is a directory: name a file in it, which shale piece ls lists`,
		"link": `"link" is a symlink to "a": name that`,
	} {
		if err := runCat([]string{car, path}); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
