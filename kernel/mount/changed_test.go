package mount_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

// settled waits until a file's times are older than the steps of its file system's clock.
func settled(t *testing.T, path string) {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(time.Unix(stat.Ctim.Unix()).Add(150 * time.Millisecond)))
}

func TestSourceThatIsOverwrittenUnderAMountGivesNoOtherBytes(t *testing.T) {
	const leaf = 1 << 20
	p := pack(t)
	settled(t, p.car)
	dir := t.TempDir()
	_, reader, faults := mountedWith(t, p.car, dir)
	content, err := os.ReadFile(filepath.Join(p.dir, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "large.bin")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(mapped) }()
	if mapped[2*leaf] != content[2*leaf] {
		t.Fatal("mapped other bytes")
	}
	car, err := os.OpenFile(p.car, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer car.Close()
	data, err := os.ReadFile(p.car)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := car.WriteAt(make([]byte, leaf), int64(bytes.Index(data, content[2*leaf:2*leaf+64]))); err != nil {
		t.Fatal(err)
	}
	// The kernel still has the pages: an idle mount is told by its watch, which is this.
	reader.Look()
	buf := make([]byte, 4096)
	deadline := time.Now().Add(10 * time.Second)
	for {
		n, err := f.ReadAt(buf, 2*leaf+4096)
		if errors.Is(err, syscall.EIO) {
			break
		}
		if err != nil || !bytes.Equal(buf[:n], content[2*leaf+4096:][:n]) {
			t.Fatalf("%v, or other bytes", err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the kernel goes on with what it kept")
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a", "small.txt")); err != nil || string(got) != "small" {
		t.Errorf("a sound file: %q, %v", got, err)
	}
	kinds := map[string]bool{}
	for _, fault := range faults() {
		kinds[fault.Kind] = true
	}
	if !kinds["changed"] || !kinds["corrupt"] {
		t.Errorf("told of %v", kinds)
	}
	// The right bytes come back, to a file that is open too.
	if err := os.WriteFile(p.car, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(buf, 2*leaf+4096); err != nil || !bytes.Equal(buf, content[2*leaf+4096:][:4096]) {
		t.Errorf("after the repair: %v", err)
	}
}

func TestPagesOfADatasetBesideItsProofsAreDroppedToo(t *testing.T) {
	p := pack(t)
	settled(t, p.car)
	var reader *unixfs.Reader
	dir, _, _ := provenWith(t, p.car, nil, func(r *unixfs.Reader) { reader = r })
	path := filepath.Join(dir, "data", "large.bin")
	if _, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(p.car, 1000); err != nil {
		t.Fatal(err)
	}
	reader.Look()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := os.ReadFile(path); errors.Is(err, syscall.EIO) {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestSourceThatIsCutShortUnderAMountIsAnIOError(t *testing.T) {
	p := pack(t)
	settled(t, p.car)
	dir := t.TempDir()
	_, reader, _ := mountedWith(t, p.car, dir)
	path := filepath.Join(dir, "large.bin")
	if _, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(p.car, 1000); err != nil {
		t.Fatal(err)
	}
	reader.Forget()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := os.ReadFile(path); errors.Is(err, syscall.EIO) {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("got %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "a", "small.txt")); err != nil {
		t.Errorf("the mount: %v", err)
	}
}
