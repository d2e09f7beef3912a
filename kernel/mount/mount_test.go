package mount_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/shale-cloud/shale/kernel/mount"
	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// packed is a CAR on disk and the directory that it was made of.
type packed struct {
	dir, car string
}

func pack(t *testing.T) packed {
	t.Helper()
	files := map[string][]byte{
		"large.bin": random(5<<20 + 123), "a/small.txt": []byte("small"), "a/b/empty": {}, "a/数据": []byte("utf-8"),
	}
	for i := range 1000 {
		files[fmt.Sprintf("many/entry-%04d", i)] = []byte{byte(i)}
	}
	return packOf(t, files)
}

func packOf(t testing.TB, files map[string][]byte) packed {
	t.Helper()
	p := packed{dir: t.TempDir(), car: filepath.Join(t.TempDir(), "d.car")}
	for name, data := range files {
		path := filepath.Join(p.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := files["a/small.txt"]; ok {
		if err := os.Symlink("../large.bin", filepath.Join(p.dir, "a", "link")); err != nil {
			t.Fatal(err)
		}
	}
	car, err := piece.CreateCAR(p.car)
	if err != nil {
		t.Fatal(err)
	}
	done, err := unixfs.Pack(context.Background(), p.dir, car.Put)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := car.Finish(context.Background(), done.Root); err != nil {
		t.Fatal(err)
	}
	return p
}

// mountAt mounts the CAR until the test ends, and collects its faults.
func mountAt(t testing.TB, car, dir string) (*mount.Mount, func() []unixfs.Fault) {
	t.Helper()
	m, _, faults := mountedWith(t, car, dir)
	return m, faults
}

// mountedWith is mountAt, with the mount's reader.
func mountedWith(t testing.TB, car, dir string) (*mount.Mount, *unixfs.Reader, func() []unixfs.Fault) {
	t.Helper()
	src, err := piece.OpenFile(car)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := unixfs.Open(src, "")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var faults []unixfs.Fault
	reader := unixfs.NewReader(src, tree, unixfs.FirstTouch)
	reader.OnFault = func(f *unixfs.Fault) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, *f)
	}
	m, err := mount.At(dir, tree, reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if isMounted(t, dir) {
			if err := m.Unmount(); err != nil {
				t.Error(err)
			}
		}
		m.Wait()
		src.Close()
	})
	return m, reader, func() []unixfs.Fault {
		mu.Lock()
		defer mu.Unlock()
		return faults
	}
}

func isMounted(t testing.TB, dir string) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(table), " "+dir+" ")
}

func TestMountedTreeEqualsTheDirectory(t *testing.T) {
	p := pack(t)
	dir := t.TempDir()
	mountAt(t, p.car, dir)
	// Another process, so that no reader of the mount shares its server's threads.
	if out, err := exec.Command("diff", "--recursive", "--no-dereference", p.dir, dir).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o444)
		switch {
		case d.IsDir():
			want = fs.ModeDir | 0o555
		case d.Type() == fs.ModeSymlink:
			want = fs.ModeSymlink | 0o777
		}
		if stat := info.Sys().(*syscall.Stat_t); info.Mode() != want || stat.Uid != 0 || stat.Gid != 0 {
			t.Errorf("%s: %v of %d:%d", path, info.Mode(), stat.Uid, stat.Gid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestReadersAtOnceSeeTheRightBytes(t *testing.T) {
	p := pack(t)
	dir := t.TempDir()
	mountAt(t, p.car, dir)
	want, err := os.ReadFile(filepath.Join(p.dir, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "a", "link"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var readers sync.WaitGroup
	for seed := range 4 {
		readers.Go(func() {
			random := rand.New(rand.NewSource(int64(seed)))
			for range 100 {
				off := random.Intn(len(want))
				p := make([]byte, min(random.Intn(300_000), len(want)-off))
				if _, err := f.ReadAt(p, int64(off)); err != nil || !bytes.Equal(p, want[off:off+len(p)]) {
					t.Errorf("%d bytes at %d: %v, or other bytes", len(p), off, err)
					return
				}
			}
		})
	}
	readers.Wait()
}

func TestCorruptBlockIsAnIOErrorAndAnEvent(t *testing.T) {
	p := pack(t)
	content, err := os.ReadFile(filepath.Join(p.dir, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	const leaf = 1 << 20
	car, err := os.ReadFile(p.car)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(car, content[2*leaf:2*leaf+64])
	car[at+leaf/2] ^= 1
	if err := os.WriteFile(p.car, car, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, faults := mountAt(t, p.car, dir)
	f, err := os.Open(filepath.Join(dir, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 4096)
	if _, err := f.ReadAt(buf, 2*leaf+10); !errors.Is(err, syscall.EIO) {
		t.Errorf("corrupt leaf: %v", err)
	}
	if _, err := f.ReadAt(buf, 4*leaf); err != nil || !bytes.Equal(buf, content[4*leaf:4*leaf+4096]) {
		t.Errorf("sound leaf: %v", err)
	}
	got := faults()
	if len(got) != 1 || got[0].Path != "large.bin" || got[0].Kind != "corrupt" || got[0].Offset != int64(at) {
		t.Errorf("faults: %+v", got)
	}
}

func TestNothingCanBeWritten(t *testing.T) {
	p := pack(t)
	dir := t.TempDir()
	mountAt(t, p.car, dir)
	for what, err := range map[string]error{
		"create": os.WriteFile(filepath.Join(dir, "new"), nil, 0o644),
		"write":  os.WriteFile(filepath.Join(dir, "a", "small.txt"), nil, 0o644),
		"remove": os.Remove(filepath.Join(dir, "large.bin")),
		"mkdir":  os.Mkdir(filepath.Join(dir, "d"), 0o755),
		"chmod":  os.Chmod(filepath.Join(dir, "large.bin"), 0o777),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhatIsOnlyReadCanBeSynced(t *testing.T) {
	p := pack(t)
	dir := t.TempDir()
	mountAt(t, p.car, dir)
	for _, name := range []string{"large.bin", "a", "."} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		fd := int(f.Fd())
		if err := errors.Join(f.Sync(), syscall.Fdatasync(fd), f.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnmountWhileAFileIsOpenLeavesNothing(t *testing.T) {
	p := pack(t)
	dir := t.TempDir()
	m, _ := mountAt(t, p.car, dir)
	f, err := os.Open(filepath.Join(dir, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
	if isMounted(t, dir) {
		t.Error("still mounted")
	}
	f.Close()
	m.Wait()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestUnmountFromOutsideEndsTheMount(t *testing.T) {
	p := pack(t)
	dir := t.TempDir()
	m, _ := mountAt(t, p.car, dir)
	if out, err := exec.Command("fusermount3", "-u", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.Wait()
	if isMounted(t, dir) {
		t.Error("still mounted")
	}
}

func TestSecondMountAtTheSamePlaceIsRefused(t *testing.T) {
	p := pack(t)
	dir := t.TempDir()
	mountAt(t, p.car, dir)
	src, err := piece.OpenFile(p.car)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	tree, err := unixfs.Open(src, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mount.At(dir, tree, unixfs.NewReader(src, tree, unixfs.Never)); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "large.bin")); err != nil {
		t.Errorf("the first mount: %v", err)
	}
}

func TestPlaceThatIsNoDirectoryIsRefused(t *testing.T) {
	p := pack(t)
	src, err := piece.OpenFile(p.car)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	tree, err := unixfs.Open(src, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{p.car, filepath.Join(p.dir, "nowhere")} {
		if _, err := mount.At(dir, tree, unixfs.NewReader(src, tree, unixfs.Never)); err == nil {
			t.Errorf("%s: mounted", dir)
		}
	}
}
