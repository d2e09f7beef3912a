package ceremony_test

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/ceremony"
)

// A powersWriter writes the .ptau format by what its public description says, with secrets that it was given.
type powersWriter struct {
	power            int
	tau, alpha, beta int64
	betaG2           int64 // if it isn't beta
	section          func(kind uint32, content []byte) []byte
	prime            *big.Int
}

func honestPowers(power int) powersWriter {
	return powersWriter{power: power, tau: 1_000_003, alpha: 77, beta: 99}
}

func (w powersWriter) write(t *testing.T) string {
	t.Helper()
	n := 1 << w.power
	_, _, g1, g2 := bn254.Generators()
	sections := map[uint32][]byte{
		2: pointsG1(bn254.BatchScalarMultiplicationG1(&g1, powersOf(w.tau, 1, 2*n-1))),
		3: pointsG2(bn254.BatchScalarMultiplicationG2(&g2, powersOf(w.tau, 1, n))),
		4: pointsG1(bn254.BatchScalarMultiplicationG1(&g1, powersOf(w.tau, w.alpha, n))),
		5: pointsG1(bn254.BatchScalarMultiplicationG1(&g1, powersOf(w.tau, w.beta, n))),
		7: {0, 0, 0, 0},
	}
	beta := w.beta
	if w.betaG2 != 0 {
		beta = w.betaG2
	}
	sections[6] = pointsG2(bn254.BatchScalarMultiplicationG2(&g2, powersOf(1, beta, 1)))
	prime := fp.Modulus()
	if w.prime != nil {
		prime = w.prime
	}
	head := binary.LittleEndian.AppendUint32(nil, 32)
	head = append(head, littleEndian(prime)...)
	head = binary.LittleEndian.AppendUint32(head, uint32(w.power))
	sections[1] = binary.LittleEndian.AppendUint32(head, uint32(w.power))

	file := []byte("ptau")
	file = binary.LittleEndian.AppendUint32(file, 1)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(sections)))
	for kind := uint32(1); kind <= 7; kind++ {
		content := sections[kind]
		if w.section != nil {
			content = w.section(kind, content)
		}
		file = binary.LittleEndian.AppendUint32(file, kind)
		file = binary.LittleEndian.AppendUint64(file, uint64(len(content)))
		file = append(file, content...)
	}
	path := filepath.Join(t.TempDir(), "powers.ptau")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// powersOf are first·ratio^i.
func powersOf(ratio, first int64, n int) []fr.Element {
	powers := make([]fr.Element, n)
	var factor fr.Element
	factor.SetInt64(ratio)
	powers[0].SetInt64(first)
	for i := 1; i < n; i++ {
		powers[i].Mul(&powers[i-1], &factor)
	}
	return powers
}

func pointsG1(points []bn254.G1Affine) (content []byte) {
	for _, p := range points {
		content = append(content, montgomery(p.X, p.Y)...)
	}
	return content
}

func pointsG2(points []bn254.G2Affine) (content []byte) {
	for _, p := range points {
		content = append(content, montgomery(p.X.A0, p.X.A1, p.Y.A0, p.Y.A1)...)
	}
	return content
}

// montgomery writes each coordinate times 2^256, by integers.
func montgomery(coordinates ...fp.Element) (content []byte) {
	for _, c := range coordinates {
		value := c.BigInt(new(big.Int))
		value.Lsh(value, 256).Mod(value, fp.Modulus())
		content = append(content, littleEndian(value)...)
	}
	return content
}

func littleEndian(value *big.Int) []byte {
	content := value.FillBytes(make([]byte, 32))
	for i := range 16 {
		content[i], content[31-i] = content[31-i], content[i]
	}
	return content
}

func TestPowersOfOneSecretAreRead(t *testing.T) {
	path := honestPowers(6).write(t)
	for _, log := range []int{3, 6} {
		powers, err := ceremony.ReadPowers(path, log)
		if err != nil {
			t.Fatal(err)
		}
		if len(powers.Commons.G1.Tau) != 2<<log-1 || len(powers.Commons.G2.Tau) != 1<<log || powers.File.Power != 6 ||
			len(powers.File.SHA256) != 64 || len(powers.File.Blake2b) != 128 {
			t.Errorf("2^%d: %+v", log, powers.File)
		}
	}
}

func TestPowersThatAreNotOfOneSecretAreRefused(t *testing.T) {
	in := func(kind uint32, change func(content []byte)) func(uint32, []byte) []byte {
		return func(k uint32, content []byte) []byte {
			if k == kind {
				content = bytes.Clone(content)
				change(content)
			}
			return content
		}
	}
	_, _, g1, _ := bn254.Generators()
	other := montgomery(g1.X, g1.Y)
	for name, c := range map[string]struct {
		change func(w *powersWriter)
		reason string
	}{
		"a power of another secret":  {func(w *powersWriter) { w.section = in(2, func(c []byte) { copy(c[5*64:], other) }) }, "not the powers of one secret"},
		"an alpha of another secret": {func(w *powersWriter) { w.section = in(4, func(c []byte) { copy(c[5*64:], other) }) }, "not the powers of one secret"},
		"a G2 power of another":      {func(w *powersWriter) { w.section = in(3, func(c []byte) { copy(c[5*128:6*128], c[4*128:]) }) }, "not the powers of one secret"},
		"another beta in G2":         {func(w *powersWriter) { w.betaG2 = 98 }, "beta is not the same"},
		"another first point":        {func(w *powersWriter) { w.section = in(2, func(c []byte) { copy(c, c[64:128]) }) }, "begin with the generators"},
		"no secret at all":           {func(w *powersWriter) { w.tau = 1 }, "nobody has contributed"},
		"a point off the curve":      {func(w *powersWriter) { w.section = in(5, func(c []byte) { c[64]++ }) }, "section 5: point 1"},
		"the identity":               {func(w *powersWriter) { w.section = in(2, func(c []byte) { clear(c[128:192]) }) }, "section 2: point 2"},
		"a coordinate of another form": {func(w *powersWriter) {
			w.section = in(2, func(c []byte) {
				value := new(big.Int).SetBytes(reversed(c[64:96]))
				copy(c[64:96], littleEndian(value.Add(value, fp.Modulus())))
			})
		}, "section 2: point 1"},
		"a short section": {func(w *powersWriter) {
			w.section = func(k uint32, content []byte) []byte {
				if k == 3 {
					return content[:len(content)-128]
				}
				return content
			}
		}, "section 3 has"},
		"another curve":  {func(w *powersWriter) { w.prime = fr.Modulus() }, "another curve"},
		"too few powers": {func(w *powersWriter) { w.power = 2 }, "but 2^3 are needed"},
	} {
		w := honestPowers(4)
		c.change(&w)
		if _, err := ceremony.ReadPowers(w.write(t), 3); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The points of G2's curve that are outside the group of the pairing are as many as the group.
func TestPointOutsideTheGroupIsRefused(t *testing.T) {
	var outside bn254.G2Affine
	for seed := uint64(1); ; seed++ {
		outside.X.A0.SetUint64(seed)
		outside.X.A1.SetUint64(1)
		var right, b bn254.E2
		_, _, _, g2 := bn254.Generators()
		b.Square(&g2.X).Mul(&b, &g2.X) // y² = x³ + b
		right.Square(&g2.Y)
		b.Sub(&right, &b)
		right.Square(&outside.X).Mul(&right, &outside.X).Add(&right, &b)
		if right.Legendre() != 1 {
			continue
		}
		outside.Y.Sqrt(&right)
		if outside.IsOnCurve() && !outside.IsInSubGroup() {
			break
		}
	}
	w := honestPowers(4)
	w.section = func(kind uint32, content []byte) []byte {
		if kind == 3 {
			content = bytes.Clone(content)
			copy(content[128:], pointsG2([]bn254.G2Affine{outside}))
		}
		return content
	}
	if _, err := ceremony.ReadPowers(w.write(t), 3); err == nil || !strings.Contains(err.Error(), "section 3: point 1") {
		t.Fatal(err)
	}
}

func reversed(content []byte) []byte {
	turned := bytes.Clone(content)
	for i := range turned {
		turned[i] = content[len(content)-1-i]
	}
	return turned
}

func FuzzReadPowersNeverPanics(f *testing.F) {
	f.Add([]byte("ptau\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("ptau"))
	f.Fuzz(func(t *testing.T, hostile []byte) {
		path := filepath.Join(t.TempDir(), "p")
		if err := os.WriteFile(path, hostile, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ceremony.ReadPowers(path, 3); err == nil {
			t.Fatal("taken")
		}
	})
}
