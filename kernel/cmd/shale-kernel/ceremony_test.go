package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"golang.org/x/crypto/sha3"

	"github.com/shale-cloud/shale/kernel/ceremony"
	"github.com/shale-cloud/shale/kernel/ledger"
)

// square has keys as soon as they are asked for.
type square struct {
	Root   frontend.Variable
	Square frontend.Variable `gnark:",public"`
}

func (s *square) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(s.Root, s.Root), s.Square)
	return nil
}

// told are folders with transcripts that name files in the folder of keys: what a deceiver can write without a ceremony.
type told struct {
	dirs []string
	keys string
}

// tell writes them, for verifying keys whose secret nobody kept.
func tell(t *testing.T) told {
	t.Helper()
	system, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &square{})
	if err != nil {
		t.Fatal(err)
	}
	c := told{keys: t.TempDir()}
	for _, size := range ledger.Sizes {
		_, key, err := groth16.Setup(system)
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if _, err := key.WriteRawTo(&raw); err != nil {
			t.Fatal(err)
		}
		c.put(t, "vk", size, raw.Bytes())
		c.put(t, "pk", size, []byte("proving"))
		c.put(t, "r1cs", size, []byte("system"))
		dir := filepath.Join(t.TempDir(), fmt.Sprintf("ceremony-%d", size))
		c.dirs = append(c.dirs, dir)
		write(t, dir, ceremony.Transcript{
			Version: 1, Size: size, Circuit: digestOf("system"),
			Contributions: []ceremony.Contribution{{Name: "start", File: "0000.phase2"}, {Name: "Ada", File: "0001.phase2"}},
			Final:         &ceremony.Final{VKHash: hashOf(raw.Bytes()), ProvingKey: digestOf("proving")},
		})
	}
	return c
}

func (c told) put(t *testing.T, kind string, size int, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.keys, fmt.Sprintf("window-%d.%s", size, kind)), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// change rewrites the transcript of the ceremony at a place.
func (c told) change(t *testing.T, at int, how func(*ceremony.Transcript)) {
	t.Helper()
	transcript, err := ceremony.ReadTranscript(c.dirs[at])
	if err != nil {
		t.Fatal(err)
	}
	how(transcript)
	write(t, c.dirs[at], *transcript)
}

func write(t *testing.T, dir string, transcript ceremony.Transcript) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := transcript.Keep(filepath.Join(dir, "ceremony.json")); err != nil {
		t.Fatal(err)
	}
}

func digestOf(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

func hashOf(content []byte) string {
	keccak := sha3.NewLegacyKeccak256()
	keccak.Write(content)
	return "0x" + hex.EncodeToString(keccak.Sum(nil))
}

func TestManifestIsMadeOfFinalisedCeremoniesAlone(t *testing.T) {
	for reason, spoil := range map[string]func(t *testing.T, c *told){
		"no such file": func(t *testing.T, c *told) { c.dirs[3] = t.TempDir() },
		"is not finalised": func(t *testing.T, c *told) {
			c.change(t, 1, func(transcript *ceremony.Transcript) { transcript.Final = nil })
		},
		"nobody has contributed": func(t *testing.T, c *told) {
			c.change(t, 2, func(transcript *ceremony.Transcript) { transcript.Contributions = transcript.Contributions[:1] })
		},
		"0 of the ceremonies are of size 256": func(_ *testing.T, c *told) { c.dirs = c.dirs[:3] },
		"2 of the ceremonies are of size 1":   func(_ *testing.T, c *told) { c.dirs = append(c.dirs, c.dirs[0]) },
		"window-8.vk is not the file": func(t *testing.T, c *told) {
			c.change(t, 1, func(transcript *ceremony.Transcript) { transcript.Final.VKHash = hashOf(nil) })
		},
		"window-8.pk is not the file":    func(t *testing.T, c *told) { c.put(t, "pk", 8, []byte("other")) },
		"window-64.r1cs is not the file": func(t *testing.T, c *told) { c.put(t, "r1cs", 64, nil) },
		"window-64.vk is a development key": func(t *testing.T, c *told) {
			content, err := os.ReadFile("../../ledger/keys/window-64.vk")
			if err != nil {
				t.Fatal(err)
			}
			c.put(t, "vk", 64, content)
			c.change(t, 2, func(transcript *ceremony.Transcript) { transcript.Final.VKHash = hashOf(content) })
		},
		"for another circuit": func(*testing.T, *told) {}, // transcripts that fit their files, but this source's circuit is another
		"0000.phase2: no such file": func(t *testing.T, c *told) { // nor does one that names the circuit have a chain
			circuit, err := circuitOf(1)
			if err != nil {
				t.Fatal(err)
			}
			var system bytes.Buffer
			if _, err := circuit.System.WriteTo(&system); err != nil {
				t.Fatal(err)
			}
			c.put(t, "r1cs", 1, system.Bytes())
			c.change(t, 0, func(transcript *ceremony.Transcript) {
				transcript.Circuit, transcript.Constraints = digestOf(system.String()), circuit.System.GetNbConstraints()
			})
		},
	} {
		t.Run(reason, func(t *testing.T) {
			c, out := tell(t), filepath.Join(t.TempDir(), "out")
			spoil(t, &c)
			err := runCeremony(append([]string{"manifest", "--keys", c.keys, "--out", out}, c.dirs...))
			if err == nil || !strings.Contains(err.Error(), reason) {
				t.Error(err)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("something was written")
			}
		})
	}
}

func TestManifestSaysWhatItTakes(t *testing.T) {
	for _, args := range [][]string{{"manifest", "--keys", "k", "--out", "o"}, {"manifest", "--out", "o", "a"}, {"contribute", "--name", "Ada", "a", "b"}} {
		if err := runCeremony(args); err == nil || !strings.Contains(err.Error(), "usage: shale-kernel ceremony "+args[0]+" --") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// A program is built whose manifest says of the committed development keys that a ceremony made them.
func TestProgramWithDevelopmentKeysThatPassForACeremonysDoesNothing(t *testing.T) {
	content, err := os.ReadFile("../../ledger/keys/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Replace(content, []byte(`"unsafe_development": true`), []byte(`"unsafe_development": false`), 1)
	if bytes.Equal(flipped, content) {
		t.Skip("the committed keys are a ceremony's")
	}
	dir := t.TempDir()
	program, manifest, overlay := filepath.Join(dir, "kernel"), filepath.Join(dir, "manifest.json"), filepath.Join(dir, "overlay.json")
	replaced, err := filepath.Abs("../../ledger/keys/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := json.Marshal(map[string]map[string]string{"Replace": {replaced: manifest}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{manifest: flipped, overlay: plan} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, args := range [][]string{
		{"serve", "--keys", dir},
		{"export-verifier", "--out", filepath.Join(dir, "out")},
		{"setup", "--unsafe-development", "--keys", filepath.Join(dir, "made"), "--sizes", "1"},
	} {
		var told bytes.Buffer
		command := exec.Command(program, args...)
		command.Stderr = &told
		out, err := command.Output()
		if err == nil || len(out) > 0 || !strings.Contains(told.String(), "keys/window-1.vk is a development key") {
			t.Errorf("%s: %v, %q, %q", args[0], err, out, told.String())
		}
	}
	for _, name := range []string{"out", "made"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}
