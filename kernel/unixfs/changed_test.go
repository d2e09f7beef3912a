package unixfs_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/remote"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// A told collects what a reader tells of.
type told struct {
	mu      sync.Mutex
	faults  []unixfs.Fault
	changes int
}

func (c *told) of(r *unixfs.Reader) {
	r.OnFault = func(f *unixfs.Fault) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.faults = append(c.faults, *f)
	}
	r.OnChange = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changes++
	}
}

// kinds counts the faults of each kind since it was asked last.
func (c *told) kinds() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := map[string]int{}
	for _, f := range c.faults {
		n[f.Kind]++
	}
	c.faults = nil
	return n
}

// settle makes the file's times older than what a file system may not tell apart.
func settle(t *testing.T, path string) {
	t.Helper()
	src, err := piece.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	for {
		if state, ok := piece.StateOf(src); ok && state.Settled(time.Now()) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func overwrite(t *testing.T, path string, at int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
}

func TestBytesThatWereVerifiedAndThenChangedAreNeverGivenOut(t *testing.T) {
	const leaf = 1 << 20
	cases := map[string]func(t *testing.T, path string, at int64){
		"overwritten": func(t *testing.T, path string, at int64) { overwrite(t, path, at, bytes.Repeat([]byte("x"), leaf)) },
		"cut short": func(t *testing.T, path string, at int64) {
			if err := os.Truncate(path, at+leaf/2); err != nil {
				t.Fatal(err)
			}
		},
		"cut short and made long again": func(t *testing.T, path string, at int64) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Truncate(path, at), os.Truncate(path, info.Size())); err != nil {
				t.Fatal(err)
			}
		},
		"overwritten, and its time set back": func(t *testing.T, path string, at int64) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, path, at, bytes.Repeat([]byte("x"), leaf))
			if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			path, content := largeFile(t)
			settle(t, path)
			reader, e := opened(t, path, "f", unixfs.FirstTouch)
			var told told
			told.of(reader)
			p := make([]byte, leaf)
			for off := int64(0); off < e.Size; off += leaf {
				if _, err := reader.ReadAt(e, p, off); err != nil {
					t.Fatal(err)
				}
			}
			car, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			const bad = 40 * leaf
			change(t, path, int64(bytes.Index(car, content[bad:bad+64])))
			small := make([]byte, 4096)
			n, err := reader.ReadAt(e, small, bad+leaf*3/4)
			var fault *unixfs.Fault
			if !errors.As(err, &fault) || n != 0 || !bytes.Equal(small, make([]byte, len(small))) {
				t.Fatalf("%d bytes, %v", n, err)
			}
			if _, err := reader.ReadAt(e, small, 3*leaf+5); err != nil || !bytes.Equal(small, content[3*leaf+5:][:len(small)]) {
				t.Errorf("a sound leaf: %v", err)
			}
			kinds := told.kinds()
			if name != "overwritten, and its time set back" && kinds[unixfs.Changed] != 1 || kinds["corrupt"]+kinds["unreadable"] != 1 {
				t.Errorf("told of %v", kinds)
			}
			if told.changes == 0 {
				t.Error("whoever keeps the bytes isn't told")
			}
			if err := os.WriteFile(path, car, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := reader.ReadAt(e, small, bad+leaf*3/4); err != nil || !bytes.Equal(small, content[bad+leaf*3/4:][:len(small)]) {
				t.Errorf("after the repair: %v", err)
			}
		})
	}
}

func TestServerThatChangesItsBytesUnderTheSameMarkGivesNoOtherBytes(t *testing.T) {
	const leaf = 1 << 20
	for _, mark := range []string{`"same"`, `W/"weak"`, ""} {
		path, content := largeFile(t)
		car, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var served atomic.Pointer[[]byte]
		served.Store(&car)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if mark != "" {
				w.Header().Set("ETag", mark)
			}
			http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(*served.Load()))
		}))
		defer server.Close()
		src, err := remote.Open(server.URL, remote.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		tree, err := unixfs.Open(src, "")
		if err != nil {
			t.Fatal(err)
		}
		e, _ := tree.Lookup("f")
		reader := unixfs.NewReader(src, tree, unixfs.FirstTouch)
		p := make([]byte, leaf)
		// All of them, each larger than what is kept of the server's answers.
		for off := int64(0); off < e.Size; off += leaf {
			if _, err := reader.ReadAt(e, p, off); err != nil {
				t.Fatal(err)
			}
		}
		zeros := make([]byte, len(car))
		served.Store(&zeros)
		small, refused := make([]byte, 4096), 0
		for off := int64(0); off < e.Size; off += leaf {
			for _, part := range [][]byte{small, p} {
				n, err := reader.ReadAt(e, part, off)
				if !bytes.Equal(part[:n], content[off:off+int64(n)]) {
					t.Fatalf("mark %q: other bytes at %d", mark, off)
				}
				if err != nil {
					refused++
				}
			}
		}
		if refused == 0 {
			t.Errorf("mark %q: nothing was read of the server again", mark)
		}
	}
}

func TestChangeWhileLeavesAreReadGivesNoOtherBytes(t *testing.T) {
	const leaf = 1 << 20
	path, content := largeFile(t)
	settle(t, path)
	reader, e := opened(t, path, "f", unixfs.FirstTouch)
	car, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(bytes.Index(car, content[:64]))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			p := make([]byte, 4096)
			for off := int64(0); ; off = (off + 4096) % leaf {
				select {
				case <-done:
					return
				default:
				}
				if _, err := reader.ReadAt(e, p, off); err == nil && !bytes.Equal(p, content[off:off+4096]) {
					t.Errorf("other bytes at %d", off)
					return
				}
			}
		})
	}
	for range 8 {
		overwrite(t, path, at, bytes.Repeat([]byte("x"), leaf))
		settle(t, path)
		overwrite(t, path, at, content[:leaf])
		settle(t, path)
	}
	close(done)
	readers.Wait()
}

func TestFileThatIsBeingWrittenWhenItIsOpenedIsVerifiedAtEachRead(t *testing.T) {
	path, content := largeFile(t)
	for range 10 {
		overwrite(t, path, 1<<20, content[:1]) // somewhere: its time is now
		reader, e := opened(t, path, "f", unixfs.FirstTouch)
		p := make([]byte, 1<<20)
		if _, err := reader.ReadAt(e, p, 8<<20); err != nil {
			t.Fatal(err)
		}
		car, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := int64(bytes.Index(car, content[8<<20:8<<20+64]))
		overwrite(t, path, at, []byte("other"))
		n, err := reader.ReadAt(e, p[:8], 8<<20)
		if err == nil && !bytes.Equal(p[:n], content[8<<20:8<<20+8]) {
			t.Fatalf("other bytes: %q", p[:n])
		}
		overwrite(t, path, at, content[8<<20:8<<20+5])
	}
}

func TestFaultThatComesBackIsToldAgain(t *testing.T) {
	const leaf = 1 << 20
	path, content := largeFile(t)
	settle(t, path)
	reader, e := opened(t, path, "f", unixfs.FirstTouch)
	var told told
	told.of(reader)
	car, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(bytes.Index(car, content[:64]))
	p := make([]byte, 10)
	fails := func() int {
		t.Helper()
		reader.Look() // else the leaf comes from memory, right as it was
		for range 3 {
			if _, err := reader.ReadAt(e, p, 100); err == nil {
				t.Fatal("a bad leaf was read")
			}
		}
		return told.kinds()["corrupt"]
	}
	for round := range 3 {
		overwrite(t, path, at+leaf-1, []byte{content[leaf-1] ^ 1})
		if n := fails(); n != 1 {
			t.Errorf("round %d: told %d times", round, n)
		}
		overwrite(t, path, at+leaf-1, content[leaf-1:leaf])
		if _, err := reader.ReadAt(e, p, 100); err != nil {
			t.Fatal(err)
		}
		settle(t, path)
	}
	overwrite(t, path, at+leaf-1, []byte{content[leaf-1] ^ 1})
	if fails() != 1 || fails() != 0 {
		t.Error("not told once")
	}
	reader.Forget()
	if fails() != 1 {
		t.Error("not told again after everything was checked anew")
	}
}

func TestOtherNamesAndOwnersAreNoChangeOfTheBytes(t *testing.T) {
	path, content := largeFile(t)
	settle(t, path)
	reader, e := opened(t, path, "f", unixfs.FirstTouch)
	var told told
	told.of(reader)
	p := make([]byte, 1<<20)
	for i, change := range []func() error{
		func() error { return os.Chmod(path, 0o600) },
		func() error { return os.Link(path, path+".more") },
		func() error { return os.Rename(path, path+".other") },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if _, err := reader.ReadAt(e, p, int64(i)<<20); err != nil || !bytes.Equal(p, content[i<<20:(i+1)<<20]) {
			t.Errorf("change %d: %v", i, err)
		}
		reader.Look()
	}
	if kinds := told.kinds(); len(kinds) != 0 {
		t.Errorf("told of %v", kinds)
	}
}
