package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCommittedAssemblyIsTheGeneratedOne(t *testing.T) {
	for path, functions := range files {
		committed, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			t.Fatal(err)
		}
		if string(committed) != render(functions) {
			t.Errorf("%s differs: go generate ./lanes", path)
		}
	}
}
