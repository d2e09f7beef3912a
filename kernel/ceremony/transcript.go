package ceremony

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"
)

const (
	transcriptFile    = "ceremony.json"
	transcriptVersion = 1
	maxTranscript     = 1 << 20
	maxContributions  = 1000
	maxName           = 100
)

// Transcript is what is written down of the ceremony of one size: with the files that it names, and the powers of tau file,
// anyone can check all of it.
type Transcript struct {
	Version       int            `json:"version"`
	Size          int            `json:"size"`
	Constraints   int            `json:"constraints"`
	Circuit       string         `json:"circuit"` // SHA-256 of the constraint system
	Powers        PowersFile     `json:"powers"`
	Contributions []Contribution `json:"contributions"` // the first one is the start, which has no secret
	Final         *Final         `json:"final,omitempty"`
}

// Contribution is one file of the chain.
type Contribution struct {
	Name   string `json:"name"`
	At     string `json:"at"` // as the contributor's clock had it
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// Final is the beacon that closed the chain, and what came out.
type Final struct {
	Beacon       string `json:"beacon"` // hex
	BeaconSource string `json:"beacon_source"`
	VKHash       string `json:"vk_hash"`
	ProvingKey   string `json:"proving_key"` // SHA-256
}

// ReadTranscript reads the transcript of a ceremony's folder.
func ReadTranscript(dir string) (*Transcript, error) {
	path := filepath.Join(dir, transcriptFile)
	content, err := readAtMost(path, maxTranscript)
	if err != nil {
		return nil, err
	}
	var t Transcript
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if t.Version != transcriptVersion || len(t.Contributions) == 0 || len(t.Contributions) > maxContributions {
		return nil, fmt.Errorf("%s is no transcript of this version", path)
	}
	for i, c := range t.Contributions {
		if c.File != fileName(i) || !isName(c.Name) {
			return nil, fmt.Errorf("%s: contribution %d has a wrong file or name", path, i)
		}
	}
	return &t, nil
}

// write replaces the transcript as a whole.
func (t *Transcript) write(dir string) error { return t.Keep(filepath.Join(dir, transcriptFile)) }

// Keep writes the transcript into a file, whole or not at all.
func (t *Transcript) Keep(path string) error {
	content, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(content, '\n'))
}

func fileName(i int) string { return fmt.Sprintf("%04d.phase2", i) }

func isName(name string) bool {
	return name != "" && len(name) <= maxName && utf8.ValidString(name) &&
		strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// shape is how many points a contribution to the ceremony of a circuit has.
type shape struct{ private, quotient int }

// bytes is the size of a contribution's file, and of one without a challenge.
func (s shape) bytes(challenge int) int {
	const g1, g2 = 32, 64
	return 2 + g1 + 4 + s.private*g1 + 4 + s.quotient*g1 + g2 + g1 + g2 + 1 + challenge
}

// load reads a contribution of the chain, whose file must be the one that the transcript names, and have the circuit's shape:
// lengths in the file are looked at before anything is made of that length.
func (t *Transcript) load(dir string, i int, s shape) (*mpcsetup.Phase2, error) {
	path := filepath.Join(dir, t.Contributions[i].File)
	challenge := sha256.Size
	if i == 0 {
		challenge = 0
	}
	content, err := readAtMost(path, int64(s.bytes(challenge)))
	if err != nil {
		return nil, err
	}
	if digestOf(content) != t.Contributions[i].SHA256 {
		return nil, fmt.Errorf("%s is not the file that the transcript names", path)
	}
	return parse(content, s, challenge)
}

func parse(content []byte, s shape, challenge int) (*mpcsetup.Phase2, error) {
	malformed := errors.New("a contribution of the wrong form")
	if len(content) != s.bytes(challenge) {
		return nil, malformed
	}
	first := 2 + 32
	second := first + 4 + s.private*32
	if content[0] != 0 || content[1] != 0 ||
		int(binary.BigEndian.Uint32(content[first:])) != s.private || int(binary.BigEndian.Uint32(content[second:])) != s.quotient {
		return nil, malformed
	}
	p := new(mpcsetup.Phase2)
	reader := bytes.NewReader(content)
	if _, err := p.ReadFrom(reader); err != nil || reader.Len() != 0 {
		return nil, malformed
	}
	var again bytes.Buffer
	if _, err := p.WriteTo(&again); err != nil || !bytes.Equal(again.Bytes(), content) {
		return nil, malformed // a second form of the same points would have another digest
	}
	return p, nil
}

// append writes the next file of the chain, then the transcript that names it.
func (t *Transcript) append(dir, name string, p *mpcsetup.Phase2) error {
	var content bytes.Buffer
	if _, err := p.WriteTo(&content); err != nil {
		return err
	}
	c := Contribution{
		Name: name, At: time.Now().UTC().Format(time.RFC3339),
		File: fileName(len(t.Contributions)), SHA256: digestOf(content.Bytes()),
	}
	if err := writeFile(filepath.Join(dir, c.File), content.Bytes()); err != nil {
		return err
	}
	t.Contributions = append(t.Contributions, c)
	return t.write(dir)
}

func digestOf(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}

// readAtMost refuses a file that is longer.
func readAtMost(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%s is longer than %d bytes, or no file", path, most)
	}
	return os.ReadFile(path)
}

// writeFile makes the file appear whole or not at all.
func writeFile(path string, content []byte) error {
	temporary := path + ".part"
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
