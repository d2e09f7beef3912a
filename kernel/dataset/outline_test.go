package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// outlined packs files of these sizes.
func outlined(t *testing.T, files map[string]int, top, first int) *Outline {
	t.Helper()
	dir, car := t.TempDir(), filepath.Join(t.TempDir(), "d.car")
	for name, size := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "nothing"), 0o755); err != nil {
		t.Fatal(err)
	}
	repack(t, dir, car)
	return opened(t, car, "", "").Outline(top, first)
}

func TestAnOutlineSumsFoldersUpAndHasTheFirstFilesByPath(t *testing.T) {
	got := outlined(t, map[string]int{"a/2": 2, "a/b/1": 1, "a-c": 4, "z": 9}, 8, 3)
	want := &Outline{
		Contents: Contents{4, 16},
		Top:      []Top{{"a-c", Contents{1, 4}}, {"a/", Contents{2, 3}}, {"z", Contents{1, 9}}},
		First:    []Listed{{"a-c", 4}, {"a/2", 2}, {"a/b/1", 1}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestAnOutlineOfManyEntriesHasTheLargestAndAllSums(t *testing.T) {
	files := map[string]int{}
	for i := range 100 {
		files[fmt.Sprintf("f%02d", i)] = i / 2
	}
	got := outlined(t, files, 3, 7)
	if want := (Contents{100, 2450}); got.Contents != want {
		t.Errorf("sums %v", got.Contents)
	}
	// Of those of one size the first by path.
	if want := []Top{{"f96", Contents{1, 48}}, {"f98", Contents{1, 49}}, {"f99", Contents{1, 49}}}; !reflect.DeepEqual(got.Top, want) {
		t.Errorf("top %v", got.Top)
	}
	if len(got.First) != 7 || got.First[6] != (Listed{"f06", 3}) {
		t.Errorf("first %v", got.First)
	}
}
