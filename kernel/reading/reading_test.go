package reading_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shale-cloud/shale/kernel/reading"
)

func folders(t *testing.T) (data, proofs string) {
	t.Helper()
	data, proofs = t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(data, "a", "b", "file"): strings.Repeat("0123456789", 1000),
		filepath.Join(data, "empty"):          "",
		filepath.Join(proofs, "piece.json"):   "{}",
		filepath.Join(data, "..", "secret"):   "outside",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"link": "a/b/file", "out": "../secret"} {
		if err := os.Symlink(target, filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(data, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	return data, proofs
}

// served is the folders read through the frames, from a server in this process.
func served(t *testing.T, data, proofs string) *reading.Client {
	t.Helper()
	files, err := reading.OpenFiles(data, proofs)
	if err != nil {
		t.Fatal(err)
	}
	requests, requested := io.Pipe()
	answers, answered := io.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := reading.Serve(context.Background(), requests, answered, files); err != nil {
			t.Error(err)
		}
		answered.Close()
	})
	t.Cleanup(func() {
		requested.Close()
		serving.Wait()
		files.Close()
	})
	client, err := reading.NewClient(answers, requested)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestEveryReaderReadsTheSame(t *testing.T) {
	data, proofs := folders(t)
	files, err := reading.OpenFiles(data, proofs)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for name, reader := range map[string]reading.Reader{"files": files, "client": served(t, data, proofs)} {
		for _, c := range []struct {
			in   reading.Folder
			path string
			off  int64
			n    int
			want string
			says string
		}{
			{reading.Data, "a/b/file", 0, 5, "01234", ""},
			{reading.Data, "a/b/file", 9998, 100, "89", ""},
			{reading.Data, "a/b/file", 10000, 1, "", ""},
			{reading.Data, "a/b/file", 1 << 40, 1, "", ""},
			{reading.Data, "a/b/file", 3, 0, "", ""},
			{reading.Data, "empty", 0, 1, "", ""},
			{reading.Data, "link", 0, 100, "a/b/file", ""},
			{reading.Data, "link", 2, 3, "b/f", ""},
			{reading.Proofs, "piece.json", 0, 100, "{}", ""},
			{reading.Proofs, "a/b/file", 0, 1, "", "no such file"},
			{reading.Data, "a/b", 0, 1, "", "not a regular file"},
			{reading.Data, "pipe", 0, 1, "", "not a regular file"},
			{reading.Data, "../secret", 0, 1, "", "escapes"},
			{reading.Data, "/etc/passwd", 0, 1, "", "escapes"},
			{reading.Data, "out", 0, 100, "../secret", ""},
			{reading.Data, "", 0, 1, "", "empty path"},
			{reading.Data, strings.Repeat("x", 5000), 0, 1, "", "too long"},
		} {
			got, err := reader.Read(context.Background(), c.in, c.path, c.off, c.n)
			var file *reading.FileError
			if string(got) != c.want || (c.says == "") != (err == nil) ||
				err != nil && (!errors.As(err, &file) || !strings.Contains(file.Reason, c.says)) {
				t.Errorf("%s: %s at %d: got %q, %v", name, c.path, c.off, got, err)
			}
		}
	}
}

func TestManyReadsAreInFlightAtOnce(t *testing.T) {
	data, proofs := folders(t)
	client := served(t, data, proofs)
	var readers sync.WaitGroup
	for i := range 200 {
		readers.Go(func() {
			off := i * 37 % 9000
			got, err := client.Read(context.Background(), reading.Data, "a/b/file", int64(off), 10)
			if err != nil || len(got) != 10 || got[0] != byte('0'+off%10) {
				t.Errorf("at %d: %q: %v", off, got, err)
			}
		})
	}
	readers.Wait()
}

// A liar greets, and then answers each request with what it likes.
func liar(t *testing.T, answer func(id uint32) []byte) *reading.Client {
	t.Helper()
	requests, requested := io.Pipe()
	answers, answered := io.Pipe()
	t.Cleanup(func() { requested.Close(); answers.Close() })
	go func() {
		answered.Write([]byte("shale-read 1\n"))
		head := make([]byte, 19)
		for {
			if _, err := io.ReadFull(requests, head); err != nil {
				return
			}
			io.CopyN(io.Discard, requests, int64(binary.BigEndian.Uint16(head[17:])))
			if frame := answer(binary.BigEndian.Uint32(head)); frame == nil {
				answered.Close()
			} else {
				answered.Write(frame)
			}
		}
	}()
	client, err := reading.NewClient(answers, requested)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func frame(id uint32, status byte, length uint32, data string) []byte {
	out := binary.BigEndian.AppendUint32(nil, id)
	out = append(out, status)
	return append(binary.BigEndian.AppendUint32(out, length), data...)
}

func TestAnswersOutOfProtocolEndAllReads(t *testing.T) {
	for name, answer := range map[string]func(uint32) []byte{
		"another id":     func(id uint32) []byte { return frame(id+7, 0, 1, "x") },
		"too long":       func(id uint32) []byte { return frame(id, 0, 11, "01234567890") },
		"absurdly long":  func(id uint32) []byte { return frame(id, 0, 1<<32-1, "") },
		"another status": func(id uint32) []byte { return frame(id, 9, 1, "x") },
		"a long reason":  func(id uint32) []byte { return frame(id, 1, 1<<20, "") },
		"twice":          func(id uint32) []byte { return append(frame(id+1, 0, 0, ""), frame(id, 0, 0, "")...) },
		"the end":        func(uint32) []byte { return nil },
	} {
		client := liar(t, answer)
		for range 2 {
			_, err := client.Read(context.Background(), reading.Data, "f", 0, 10)
			var file *reading.FileError
			if err == nil || errors.As(err, &file) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestReasonOfTheOtherSideIsOnePrintableLine(t *testing.T) {
	client := liar(t, func(id uint32) []byte { return frame(id, 1, 12, "no\x1b[2J\nsuch\a.") })
	_, err := client.Read(context.Background(), reading.Data, "f", 0, 10)
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\n\a") {
		t.Errorf("%q", err)
	}
}

func TestSilentServerHoldsUpNoContext(t *testing.T) {
	requests, requested := io.Pipe()
	answers, answered := io.Pipe()
	defer requests.Close()
	defer answered.Close()
	go answered.Write([]byte("shale-read 1\n"))
	client, err := reading.NewClient(answers, requested)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := client.Read(ctx, reading.Data, "f", 0, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestServerRefusesWhatItCannotServe(t *testing.T) {
	request := func(folder byte, off uint64, n uint32, path string) []byte {
		out := append(binary.BigEndian.AppendUint32(nil, 1), folder)
		out = binary.BigEndian.AppendUint64(out, off)
		out = binary.BigEndian.AppendUint32(out, n)
		return append(binary.BigEndian.AppendUint16(out, uint16(len(path))), path...)
	}
	data, proofs := folders(t)
	files, err := reading.OpenFiles(data, proofs)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for name, in := range map[string][]byte{
		"folder": request(2, 0, 1, "f"),
		"offset": request(0, 1<<63, 1, "f"),
		"length": request(0, 0, reading.MaxRead+1, "f"),
		"cut":    request(0, 0, 1, "file")[:20],
		"head":   request(0, 0, 1, "file")[:7],
	} {
		if err := reading.Serve(context.Background(), bytes.NewReader(in), io.Discard, files); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCommandThatDoesNotSpeakTheProtocolIsNamed(t *testing.T) {
	for says, argv := range map[string][]string{
		"ssh is not":  {"sh", "-c", "echo it; echo ssh is not here >&2; exit 255"},
		"began with":  {"sh", "-c", "echo Welcome to this machine, my friend"},
		"not exist":   {"/nonexistent/command"},
		"protocol: i": {"true"},
	} {
		err := reading.Command(context.Background(), argv, func(*reading.Client) error { return errors.New("used") })
		if err == nil || !strings.Contains(err.Error(), says) && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%v: %v", argv, err)
		}
	}
}

func TestCommandEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	err := reading.Command(ctx, []string{"sh", "-c", "echo shale-read 1; exec sleep 1000"}, func(c *reading.Client) error {
		cancel()
		_, err := c.Read(ctx, reading.Data, "f", 0, 1)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzServe(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x01f"))
	data := f.TempDir()
	if err := os.WriteFile(filepath.Join(data, "f"), []byte("text"), 0o644); err != nil {
		f.Fatal(err)
	}
	files, err := reading.OpenFiles(data, data)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		_ = reading.Serve(context.Background(), bytes.NewReader(in), io.Discard, files)
	})
}
