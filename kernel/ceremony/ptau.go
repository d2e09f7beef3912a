// Package ceremony makes the circuits' keys so that nobody who was honest in it has to be known to be: on a public powers of
// tau file, by contributions in a chain, and a beacon at its end (docs/guide/ceremony.md).
package ceremony

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	parties "github.com/consensys/gnark-crypto/ecc/bn254/mpcsetup"
	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"
	"golang.org/x/crypto/blake2b"
)

// The .ptau format: "ptau", version, number of sections; a section is a type, a size and that many bytes; little endian
// all over, coordinates in Montgomery form.
const (
	ptauVersion  = 1
	maxSections  = 64
	maxPower     = 28
	headerSize   = 4 + fp.Bytes + 4 + 4
	g1Size       = 2 * fp.Bytes
	g2Size       = 4 * fp.Bytes
	sectionHead  = 1
	sectionTau1  = 2
	sectionTau2  = 3
	sectionAlpha = 4
	sectionBeta1 = 5
	sectionBeta2 = 6
)

// Powers are the first powers of a powers of tau file, checked, and which file that was.
type Powers struct {
	Commons mpcsetup.SrsCommons
	File    PowersFile
}

// PowersFile names a powers of tau file by its digests: the second is what the ceremonies publish.
type PowersFile struct {
	Power   int    `json:"power"`
	SHA256  string `json:"sha256"`
	Blake2b string `json:"blake2b"`
}

// ReadPowers reads as many powers as a domain of size 2^log needs, and checks that they are powers of one secret: points of
// the groups, geometric sequences of the same ratio from the generators, and beta the same in both groups. Who chose the
// secret the file cannot say: that is what its published digest is for.
func ReadPowers(path string, log int) (*Powers, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sections, err := sectionsOf(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p := &Powers{}
	if p.File.Power, err = readHeader(file, sections); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if p.File.Power < log {
		return nil, fmt.Errorf("%s has the powers for 2^%d constraints, but 2^%d are needed", path, p.File.Power, log)
	}
	if err := p.read(file, sections, 1<<log); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, p.digest(file)
}

type section struct{ at, size int64 }

func sectionsOf(file *os.File) (map[uint32]section, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	var start [12]byte
	if _, err := io.ReadFull(file, start[:]); err != nil || !bytes.Equal(start[:4], []byte("ptau")) {
		return nil, errors.New("not a powers of tau file")
	}
	version, count := binary.LittleEndian.Uint32(start[4:]), binary.LittleEndian.Uint32(start[8:])
	if version != ptauVersion || count > maxSections {
		return nil, fmt.Errorf("version %d with %d sections, of which only version %d is known", version, count, ptauVersion)
	}
	sections := map[uint32]section{}
	at := int64(len(start))
	for range count {
		var head [12]byte
		if _, err := file.ReadAt(head[:], at); err != nil {
			return nil, errors.New("the file ends inside its sections")
		}
		kind, size := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint64(head[4:])
		at += int64(len(head))
		if size > uint64(info.Size()-at) {
			return nil, fmt.Errorf("section %d is longer than the file", kind)
		}
		if _, ok := sections[kind]; ok {
			return nil, fmt.Errorf("section %d stands there twice", kind)
		}
		sections[kind] = section{at, int64(size)}
		at += int64(size)
	}
	return sections, nil
}

// readHeader returns the power.
func readHeader(file *os.File, sections map[uint32]section) (int, error) {
	head, ok := sections[sectionHead]
	if !ok || head.size != headerSize {
		return 0, errors.New("no header")
	}
	var raw [headerSize]byte
	if _, err := file.ReadAt(raw[:], head.at); err != nil {
		return 0, err
	}
	var prime [fp.Bytes]byte
	for i := range prime {
		prime[i] = raw[4+fp.Bytes-1-i]
	}
	if binary.LittleEndian.Uint32(raw[:]) != fp.Bytes || new(big.Int).SetBytes(prime[:]).Cmp(fp.Modulus()) != 0 {
		return 0, errors.New("the powers are of another curve than bn254")
	}
	power := binary.LittleEndian.Uint32(raw[4+fp.Bytes:])
	if power < 1 || power > maxPower {
		return 0, fmt.Errorf("a power of %d", power)
	}
	n := int64(1) << power
	for kind, size := range map[uint32]int64{
		sectionTau1: (2*n - 1) * g1Size, sectionTau2: n * g2Size, sectionAlpha: n * g1Size, sectionBeta1: n * g1Size, sectionBeta2: g2Size,
	} {
		if sections[kind].size != size {
			return 0, fmt.Errorf("section %d has %d bytes instead of %d", kind, sections[kind].size, size)
		}
	}
	return int(power), nil
}

func (p *Powers) read(file *os.File, sections map[uint32]section, n int) error {
	commons := &p.Commons
	commons.G1.Tau = make([]bn254.G1Affine, 2*n-1)
	commons.G2.Tau = make([]bn254.G2Affine, n)
	commons.G1.AlphaTau = make([]bn254.G1Affine, n)
	commons.G1.BetaTau = make([]bn254.G1Affine, n)
	for kind, points := range map[uint32][]bn254.G1Affine{
		sectionTau1: commons.G1.Tau, sectionAlpha: commons.G1.AlphaTau, sectionBeta1: commons.G1.BetaTau,
	} {
		if err := readPoints(file, sections[kind], g1Size, len(points), func(i int, raw []byte) bool {
			return readCoordinates(raw, &points[i].X, &points[i].Y) && !points[i].IsInfinity() && points[i].IsOnCurve()
		}); err != nil {
			return fmt.Errorf("section %d: %w", kind, err)
		}
	}
	second := func(point *bn254.G2Affine, raw []byte) bool {
		return readCoordinates(raw, &point.X.A0, &point.X.A1, &point.Y.A0, &point.Y.A1) && !point.IsInfinity() && point.IsInSubGroup()
	}
	if err := readPoints(file, sections[sectionTau2], g2Size, n, func(i int, raw []byte) bool {
		return second(&commons.G2.Tau[i], raw)
	}); err != nil {
		return fmt.Errorf("section %d: %w", sectionTau2, err)
	}
	if err := readPoints(file, sections[sectionBeta2], g2Size, 1, func(_ int, raw []byte) bool {
		return second(&commons.G2.Beta, raw)
	}); err != nil {
		return fmt.Errorf("section %d: %w", sectionBeta2, err)
	}
	return nil
}

func readPoints(file *os.File, from section, size, count int, take func(i int, raw []byte) bool) error {
	reader := bufio.NewReaderSize(io.NewSectionReader(file, from.at, from.size), 1<<20)
	raw := make([]byte, size)
	for i := range count {
		if _, err := io.ReadFull(reader, raw); err != nil {
			return err
		}
		if !take(i, raw) {
			return fmt.Errorf("point %d is not one of the group, or the identity", i)
		}
	}
	return nil
}

// readCoordinates takes only the one form below the modulus.
func readCoordinates(raw []byte, coordinates ...*fp.Element) bool {
	for i, coordinate := range coordinates {
		for limb := range coordinate {
			coordinate[limb] = binary.LittleEndian.Uint64(raw[i*fp.Bytes+8*limb:])
		}
		if !belowModulus(coordinate) {
			return false
		}
	}
	return true
}

func belowModulus(e *fp.Element) bool {
	var bigEndian [fp.Bytes]byte
	for limb, word := range e {
		binary.BigEndian.PutUint64(bigEndian[fp.Bytes-8*(limb+1):], word)
	}
	return new(big.Int).SetBytes(bigEndian[:]).Cmp(fp.Modulus()) < 0
}

func (p *Powers) check() error {
	_, _, g1, g2 := bn254.Generators()
	commons := &p.Commons
	if commons.G1.Tau[0] != g1 || commons.G2.Tau[0] != g2 {
		return errors.New("the powers don't begin with the generators")
	}
	if commons.G1.Tau[1] == g1 || commons.G1.AlphaTau[0] == g1 || commons.G1.BetaTau[0] == g1 {
		return errors.New("nobody has contributed to the powers")
	}
	if err := parties.SameRatioMany(commons.G1.Tau, commons.G2.Tau, commons.G1.AlphaTau, commons.G1.BetaTau); err != nil {
		return errors.New("the points are not the powers of one secret")
	}
	var minus bn254.G1Affine
	minus.Neg(&g1)
	same, err := bn254.PairingCheck([]bn254.G1Affine{commons.G1.BetaTau[0], minus}, []bn254.G2Affine{g2, commons.G2.Beta})
	if err != nil || !same {
		return errors.New("beta is not the same in both groups")
	}
	return nil
}

func (p *Powers) digest(file *os.File) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	first := sha256.New()
	second, err := blake2b.New512(nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.MultiWriter(first, second), bufio.NewReaderSize(file, 1<<20)); err != nil {
		return err
	}
	p.File.SHA256, p.File.Blake2b = hex.EncodeToString(first.Sum(nil)), hex.EncodeToString(second.Sum(nil))
	return nil
}
