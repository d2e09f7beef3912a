package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func decoded[T any](t *testing.T, args ...string) (value T) {
	t.Helper()
	if err := json.Unmarshal(output(t, args...), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// padded puts a packed CAR into a sector of 8 MiB, and returns the text that names it there.
func padded(t *testing.T, car string) (text, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s-t01000-1")
	made := decoded[struct{ Source string }](t, "pad", car, path, "--sector-size", "8MiB", "--at", "4MiB", "--json")
	return made.Source, path
}

func served(t *testing.T, path string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("ETag", `"x"`)
		http.ServeFile(w, req, path)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/piece/x"
}

func TestDatasetIsReadFromEveryKindOfSource(t *testing.T) {
	car, large := packedDir(t)
	inSector, path := padded(t, car)
	listing := output(t, "ls", "--json", car)
	commitment := output(t, "commp", "--json", car)
	for _, text := range []string{inSector, "sector:" + path, "park:" + car, served(t, car)} {
		if got := output(t, "ls", "--json", text); !bytes.Equal(got, listing) {
			t.Errorf("%s: lists %s", text, got)
		}
		if got := output(t, "cat", text, "large"); !bytes.Equal(got, large) {
			t.Errorf("%s: cat wrote %d bytes", text, len(got))
		}
		// Without its raw size, the piece in the sector is the padded one.
		if got := output(t, "commp", "--json", text); text != "sector:"+path && !bytes.Equal(got, commitment) {
			t.Errorf("%s: is %s", text, got)
		}
	}
}

func TestSectorIsMounted(t *testing.T) {
	car, large := packedDir(t)
	inSector, _ := padded(t, car)
	dir := t.TempDir()
	started(t, inSector, dir)
	if got, err := os.ReadFile(filepath.Join(dir, "large")); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestUnpaddingGivesTheFileBack(t *testing.T) {
	car, _ := packedDir(t)
	inSector, _ := padded(t, car)
	out := filepath.Join(t.TempDir(), "out.car")
	output(t, "unpad", inSector, out, "--json")
	want, err := os.ReadFile(car)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := kernel("unpad", inSector, out).Run(); err == nil {
		t.Error("a file was overwritten")
	}
}

type inspected struct {
	Source, Format        string
	Root                  *string
	Roots, Missing_Roots  []string
	Blocks                int
	Raw_Size, Padded_Size int64
	Sector_Size           int64
	Unsealed              []struct{ Offset, Size int64 }
	Problems              []struct {
		Offset int64
		Reason string
	}
}

func TestInspectionSaysWhatASourceIs(t *testing.T) {
	car, _ := packedDir(t)
	inSector, path := padded(t, car)
	info, err := os.Stat(car)
	if err != nil {
		t.Fatal(err)
	}
	r := decoded[inspected](t, "inspect", car, "--json")
	if r.Format != "car-v1" || r.Root == nil || len(r.Roots) != 1 || r.Blocks < 5 || r.Raw_Size != info.Size() || r.Padded_Size != 4<<20 {
		t.Errorf("%+v", r)
	}
	if len(r.Missing_Roots)+len(r.Problems) != 0 {
		t.Errorf("%+v", r)
	}
	s := decoded[inspected](t, "inspect", inSector, "--json")
	if s.Format != r.Format || *s.Root != *r.Root || s.Blocks != r.Blocks || s.Sector_Size != 8<<20 || len(s.Unsealed) != 1 {
		t.Errorf("%+v", s)
	}
	unsealed := decoded[inspected](t, "inspect", "sector:"+path+"?offset=0&size=4MiB", "--json")
	if len(unsealed.Problems) != 1 || !strings.Contains(unsealed.Problems[0].Reason, "not unsealed") {
		t.Errorf("%+v", unsealed)
	}
	if err := os.Truncate(car, info.Size()-5); err != nil {
		t.Fatal(err)
	}
	cut := decoded[inspected](t, "inspect", car, "--json")
	if cut.Format != "car-v1" || cut.Blocks != r.Blocks-1 || len(cut.Problems) != 1 || !strings.Contains(cut.Problems[0].Reason, "truncated") {
		t.Errorf("%+v", cut)
	}
	if raw := decoded[inspected](t, "inspect", "/etc/passwd", "--json"); raw.Format != "raw" || raw.Root != nil {
		t.Errorf("%+v", raw)
	}
}

func TestVerificationFindsWhatIsWrong(t *testing.T) {
	car, large := packedDir(t)
	id := decoded[map[string]any](t, "commp", car, "--json")["v1"].(string)
	sound := decoded[verdict](t, "verify", car, "--piece", id, "--json")
	if !sound.OK || sound.Verified != sound.Blocks || sound.PieceNamed == nil || !*sound.PieceNamed {
		t.Errorf("%+v", sound)
	}
	if sampled := decoded[verdict](t, "verify", car, "--sample", "2", "--json"); !sampled.OK || sampled.Verified != 2 || sampled.Piece != nil {
		t.Errorf("%+v", sampled)
	}
	// A piece's URL says which piece it is.
	server := httptest.NewServer(http.StripPrefix("/piece/"+id, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.ServeFile(w, req, car)
	})))
	defer server.Close()
	if named := decoded[verdict](t, "verify", server.URL+"/piece/"+id, "--json"); named.PieceNamed == nil || !*named.PieceNamed {
		t.Errorf("%+v", named)
	}
	corrupt(t, car, large)
	broken := decoded[verdict](t, "verify", car, "--piece", id, "--json")
	if broken.OK || broken.Faults != 2 || *broken.PieceNamed || broken.Problems[0].Offset == 0 {
		t.Errorf("%+v", broken)
	}
	out, err := kernel("verify", car).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("corrupt")) {
		t.Errorf("%v: %s", err, out)
	}
	if err := kernel("verify", "/etc/passwd").Run(); err == nil {
		t.Error("a file that is no CAR was verified")
	}
}

func TestProgressReachesTheTotal(t *testing.T) {
	car, _ := packedDir(t)
	info, err := os.Stat(car)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"verify", "commp"} {
		cmd := kernel(command, car, "--progress", "--json")
		var told bytes.Buffer
		cmd.Stderr = &told
		if _, err := cmd.Output(); err != nil {
			t.Fatal(err)
		}
		total := fmt.Sprint(info.Size())
		if !strings.HasPrefix(told.String(), "progress ") || !strings.HasSuffix(told.String(), "progress "+total+" "+total+"\n") {
			t.Errorf("%s told %q", command, told.String())
		}
	}
}

func TestListingHasEmptyDirectoriesAndTargets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "a", "empty"), 0o755), os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o644),
		os.Symlink("../file", filepath.Join(dir, "a", "link"))); err != nil {
		t.Fatal(err)
	}
	car := filepath.Join(t.TempDir(), "d.car")
	output(t, "pack", dir, car)
	var listing []listed
	if err := json.Unmarshal(output(t, "ls", car, "--json"), &listing); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, l := range listing {
		text := l.Type + " " + l.Path
		if l.Target != nil {
			text += " to " + *l.Target
		}
		seen = append(seen, text)
	}
	if got := strings.Join(seen, ", "); got != "directory a/empty, symlink a/link to ../file, file file" {
		t.Errorf("%s", got)
	}
	if text := string(output(t, "ls", car)); !strings.Contains(text, `"a/empty"/`) || !strings.Contains(text, `"a/link" -> "../file"`) {
		t.Errorf("%s", text)
	}
}

func TestZerosBehindAPieceAreToldOf(t *testing.T) {
	car, _ := packedDir(t)
	sector := filepath.Join(t.TempDir(), "s-t01000-1")
	source := strings.TrimSpace(string(output(t, "pad", car, sector, "--sector-size", "8MiB")))
	whole, _, _ := strings.Cut(source, "&raw=")
	info, err := os.Stat(car)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int64{source: 0, whole: 4<<20/128*127 - info.Size()} {
		var answer struct {
			Zeros int64 `json:"trailing_zeros"`
		}
		if err := json.Unmarshal(output(t, "unpad", text, filepath.Join(t.TempDir(), "json"), "--json"), &answer); err != nil || answer.Zeros != want {
			t.Errorf("%s: %d zeros, want %d, %v", text, answer.Zeros, want, err)
		}
		cmd := kernel("unpad", text, filepath.Join(t.TempDir(), "plain"))
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil || strings.Contains(said.String(), "are zeros") != (want > 0) {
			t.Errorf("%s: %v, said %q", text, err, said.String())
		}
	}
}
