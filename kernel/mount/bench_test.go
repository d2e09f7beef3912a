package mount_test

import (
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkRandomReads reads 4 KiB at random places of a mounted file whose leaves are verified, each from the mount and
// not from the kernel's cache.
func BenchmarkRandomReads(b *testing.B) {
	p := packOf(b, map[string][]byte{"large.bin": random(64 << 20)})
	dir := b.TempDir()
	mountAt(b, p.car, dir)
	path := filepath.Join(dir, "large.bin")
	if _, err := os.ReadFile(path); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
		b.Fatal(err)
	}
	places := rand.New(rand.NewSource(2))
	buf := make([]byte, 4096)
	for b.Loop() {
		off := places.Int63n(64<<20-4096) &^ 4095
		if err := unix.Fadvise(int(f.Fd()), off, 4096, unix.FADV_DONTNEED); err != nil {
			b.Fatal(err)
		}
		if _, err := f.ReadAt(buf, off); err != nil {
			b.Fatal(err)
		}
	}
}

func random(size int) []byte {
	content := make([]byte, size)
	rand.New(rand.NewSource(3)).Read(content)
	return content
}
