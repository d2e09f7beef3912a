package source_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/piece/sector"
	"github.com/shale-cloud/shale/kernel/piece/source"
	"github.com/shale-cloud/shale/kernel/piece/sourcetest"
)

// lay writes the content as each kind of source keeps it, and returns the text that opens it.
var lay = map[string]func(t *testing.T, content []byte) string{
	"file": file,
	"park": func(t *testing.T, content []byte) string { return "park:" + file(t, content) },
	"park with its raw size": func(t *testing.T, content []byte) string {
		return fmt.Sprintf("park:%s?raw=%d", file(t, append(content, "behind"...)), len(content))
	},
	"sector": func(t *testing.T, content []byte) string { return "sector:" + inSector(t, 0, content) },
	"sector with options": func(t *testing.T, content []byte) string {
		return fmt.Sprintf("sector:%s?offset=4MiB&size=%d&raw=%d", inSector(t, 4<<20, content), sector.PieceSize(int64(len(content))), len(content))
	},
	"server": func(t *testing.T, content []byte) string {
		return served(t, file(t, content))
	},
}

func file(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "piece")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func inSector(t *testing.T, at int64, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s-t01000-7")
	if _, err := sector.Write(t.Context(), path, 8<<20, at, piecetest.Source(content)); err != nil {
		t.Fatal(err)
	}
	return path
}

func served(t *testing.T, path string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("ETag", `"x"`)
		http.ServeFile(w, req, path)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/piece/x"
}

func TestEveryKindOfSourcePassesTheSuite(t *testing.T) {
	for name, write := range lay {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T, content []byte) piece.Source {
				src, err := source.Open(write(t, content))
				if err != nil {
					t.Fatal(err)
				}
				return src
			})
		})
	}
}

func TestSourceInAFileTellsThatItsBytesAreOthers(t *testing.T) {
	for name, write := range lay {
		if name == "server" {
			continue // package remote
		}
		t.Run(name, func(t *testing.T) {
			sourcetest.Tells(t, func(t *testing.T, content []byte) (piece.Source, func(t *testing.T)) {
				text := write(t, content)
				src, err := source.Open(text)
				if err != nil {
					t.Fatal(err)
				}
				path, _, _ := strings.Cut(text[strings.Index(text, ":")+1:], "?")
				return src, func(t *testing.T) {
					f, err := os.OpenFile(path, os.O_RDWR, 0)
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					if _, err := f.WriteAt(make([]byte, 1000), 0); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

func TestJoinedSourcesPassTheSuite(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, content []byte) piece.Source {
		var parts []piece.Source
		for _, part := range [][]byte{content[:len(content)/3], content[len(content)/3 : len(content)/2], content[len(content)/2:]} {
			src, err := source.Open(file(t, part))
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, src)
		}
		joined, err := piece.Join(parts...)
		if err != nil {
			t.Fatal(err)
		}
		return joined
	})
}

func TestTextThatOpensNothingIsOneLine(t *testing.T) {
	path := inSector(t, 0, []byte("content"))
	for text, reason := range map[string]string{
		"":                         "no such file",
		"sector:":                  "without a path",
		"park:":                    "without a path",
		"aggregate:":               "needs a piece",
		"aggregate:" + path:        "needs a piece",
		"aggregate:" + path + "#0": "not an aggregate",
		"aggregate:aggregate:aggregate:aggregate:aggregate:x#0#0#0#0#0": "inside each other",
		"sector:" + path + "?offset=0":                                  "needs a size",
		"sector:" + path + "?offset=0&size=":                            "is no size",
		"sector:" + path + "?offset=0&size=9e9":                         "is no size",
		"sector:" + path + "?size=64GiB":                                "beyond",
		"sector:" + path + "?size=9999999999GiB":                        "is no size",
		"sector:" + path + "?size=-128":                                 "is no size",
		"sector:" + path + "?size=128&size=128":                         "twice",
		"sector:" + path + "?colour=blue":                               "unknown",
		"sector:" + path + "?offset=128&size=128":                       "not unsealed",
		"park:" + path + "?raw=9GiB":                                    "truncated",
		"park:" + path + "?offset=1":                                    "unknown",
		"http:///piece":                                                 "not an HTTP URL",
		"https:x":                                                       "not an HTTP URL",
	} {
		src, err := source.Open(text)
		if err == nil {
			src.Close()
			t.Errorf("%q was opened", text)
			continue
		}
		if !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, reason)
		}
	}
}

func TestSourcesNestInAggregates(t *testing.T) {
	if _, err := source.Open("aggregate:sector:" + inSector(t, 0, []byte("content")) + "#0"); err == nil || !strings.Contains(err.Error(), "not an aggregate") {
		t.Errorf("got %v", err)
	}
}

func TestNameOpensTheSamePiece(t *testing.T) {
	content := sourcetest.Random(1, 1016)
	src, err := source.Open("sector:" + inSector(t, 1<<20, content))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	again, err := source.Open(src.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := io.ReadAll(io.NewSectionReader(again, 0, again.Size())); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestPieceInAURLIsNamed(t *testing.T) {
	const id = "baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq"
	for text, want := range map[string]bool{
		"http://sp/piece/" + id:          true,
		"https://sp/a/piece/" + id + "/": true,
		"https://sp/piece/" + id + "?x":  true,
		"https://sp/ipfs/" + id:          false,
		"/piece/" + id:                   false,
		"https://sp/piece/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy": false,
	} {
		if got, ok := source.NamedPiece(text); ok != want || ok && got.String() != id {
			t.Errorf("%s: %v %v", text, got, ok)
		}
	}
}

func TestMalformedCARIsReportedAndWhatIsNoneIsNot(t *testing.T) {
	block := piecetest.Raw(t, []byte("a block"), multihash.SHA2_256)
	sound := piecetest.CAR(t, []cid.Cid{block.CID}, block)
	v1 := filepath.Join(t.TempDir(), "sound.car")
	if err := os.WriteFile(v1, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	indexed := filepath.Join(t.TempDir(), "v2.car")
	if err := car.WrapV1File(v1, indexed); err != nil {
		t.Fatal(err)
	}
	v2, err := os.ReadFile(indexed)
	if err != nil {
		t.Fatal(err)
	}
	index := int(binary.LittleEndian.Uint64(v2[car.PragmaSize+32:]))
	spoilt := func(at int, with ...byte) []byte {
		data := bytes.Clone(v2)
		copy(data[at:], with)
		return data
	}
	for name, c := range map[string]struct {
		file    string
		content []byte
		format  string
		problem string // "" for none
		offset  int64
	}{
		"sound":                        {"x.car", sound, "car-v1", "", 0},
		"sound, with an index":         {"x.car", v2, "car-v2", "", 0},
		"no CAR":                       {"x.bin", []byte("some bytes that are no CAR at all"), "raw", "", 0},
		"no CAR, called one":           {"x.CAR", []byte("some bytes that are no CAR at all"), "raw", "not a CAR", 0},
		"empty, called one":            {"x.car", nil, "raw", "truncated", 0},
		"absurd header":                {"x.car", append(binary.AppendUvarint(nil, 1<<40), sound[1:]...), "raw", "not a CAR", 0},
		"absurd header, another name":  {"piece", append(binary.AppendUvarint(nil, 1<<40), sound[1:]...), "raw", "not a CAR", 0},
		"malformed header":             {"piece", append(sound[:1:1], append([]byte{0xff}, sound[2:]...)...), "raw", "not a CAR", 0},
		"index of no codec":            {"x.car", spoilt(index, 0x99, 0x08), "car-v2", "index: its codec", int64(index) + 2},
		"garbage for an index":         {"x.car", spoilt(index, bytes.Repeat([]byte{0xff}, len(v2)-index)...), "car-v2", "index", int64(index)},
		"index of absurd counts":       {"x.car", spoilt(index+2, 0xff, 0xff, 0xff, 0x7f), "car-v2", "lists in", int64(index) + 6},
		"index of absurd records":      {"x.car", spoilt(index+18, 0xff, 0xff, 0xff, 0x7f), "car-v2", "records of", int64(index) + 30},
		"index of absurd length":       {"x.car", spoilt(index+22, 0, 0, 0, 0, 0, 0, 0, 0x28), "car-v2", "are left", int64(index) + 30},
		"index of blocks outside":      {"x.car", spoilt(len(v2)-2, 0xff), "car-v2", "a block at", int64(len(v2) - 40)},
		"index cut":                    {"x.car", v2[:len(v2)-3], "car-v2", "are left", int64(index) + 30},
		"index behind the end":         {"x.car", spoilt(car.PragmaSize+32, 0xff, 0xff, 0xff), "car-v2", "index at", car.PragmaSize + 32},
		"index that is in the payload": {"x.car", spoilt(car.PragmaSize+32, 60, 0), "car-v2", "inside the payload", car.PragmaSize + 32},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := source.Inspect(path)
			if err != nil || r.Format != c.format {
				t.Fatalf("%+v, %v", r, err)
			}
			if c.problem == "" && len(r.Problems) != 0 {
				t.Errorf("%+v", r.Problems)
			}
			if c.problem != "" && (len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Reason, c.problem) || r.Problems[0].Offset != c.offset) {
				t.Errorf("%+v, want %q at %d", r.Problems, c.problem, c.offset)
			}
		})
	}
}
