package ceremony

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"
	"github.com/consensys/gnark/constraint"
	r1cs "github.com/consensys/gnark/constraint/bn254"
)

// Circuit is what keys are made for.
type Circuit struct {
	Size   int
	System constraint.ConstraintSystem
}

// log is the power of two that the constraints fit.
func (c Circuit) log() int { return bits.Len(uint(c.System.GetNbConstraints() - 1)) }

func (c Circuit) shape() shape {
	internal, secret, _ := c.System.GetNbVariables()
	return shape{private: internal + secret, quotient: 1<<c.log() - 1}
}

func (c Circuit) digest() (string, error) {
	var serialized bytes.Buffer
	_, err := c.System.WriteTo(&serialized)
	return digestOf(serialized.Bytes()), err
}

func (c Circuit) start(powers *Powers) (*mpcsetup.Phase2, *mpcsetup.Phase2Evaluations) {
	return start(c.System.(*r1cs.R1CS), &powers.Commons)
}

// Init begins the ceremony of a circuit in a new folder. A published BLAKE2b digest, if it isn't empty, must be the powers of
// tau file's.
func Init(dir string, c Circuit, powersPath, published string) (*Transcript, error) {
	powers, err := ReadPowers(powersPath, c.log())
	if err != nil {
		return nil, err
	}
	if published != "" && published != powers.File.Blake2b {
		return nil, fmt.Errorf("%s has the BLAKE2b digest %s, not the published one", powersPath, powers.File.Blake2b)
	}
	digest, err := c.digest()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, transcriptFile)); err == nil {
		return nil, fmt.Errorf("%s has a ceremony already", dir)
	}
	t := &Transcript{
		Version: transcriptVersion, Size: c.Size, Constraints: c.System.GetNbConstraints(), Circuit: digest, Powers: powers.File,
	}
	first, _ := c.start(powers)
	return t, t.append(dir, "start", first)
}

// Contribute adds a contribution with a secret that is drawn here and forgotten, after a check of the chain so far.
func Contribute(dir string, c Circuit, name string) (*Contribution, error) {
	if !isName(name) {
		return nil, fmt.Errorf("a name is 1 to %d printable characters", maxName)
	}
	t, last, err := chain(dir, c)
	if err != nil {
		return nil, err
	}
	if t.Final != nil {
		return nil, errors.New("the ceremony has ended: its beacon is in")
	}
	if len(t.Contributions) == maxContributions {
		return nil, fmt.Errorf("the ceremony has its %d contributions", maxContributions)
	}
	last.Contribute()
	if err := t.append(dir, name, last); err != nil {
		return nil, err
	}
	return &t.Contributions[len(t.Contributions)-1], nil
}

// chain reads the contributions and checks that each is made from the one before it. It returns the last one.
func chain(dir string, c Circuit) (*Transcript, *mpcsetup.Phase2, error) {
	t, err := ReadTranscript(dir)
	if err != nil {
		return nil, nil, err
	}
	digest, err := c.digest()
	if err != nil {
		return nil, nil, err
	}
	if t.Circuit != digest || t.Size != c.Size || t.Constraints != c.System.GetNbConstraints() {
		return nil, nil, errors.New("the ceremony is for another circuit than this program's")
	}
	previous, err := t.load(dir, 0, c.shape())
	if err != nil {
		return nil, nil, err
	}
	for i := 1; i < len(t.Contributions); i++ {
		next, err := t.load(dir, i, c.shape())
		if err != nil {
			return nil, nil, err
		}
		if err := previous.Verify(next); err != nil {
			return nil, nil, fmt.Errorf("contribution %d, by %q: %w", i, t.Contributions[i].Name, err)
		}
		previous = next
	}
	return t, previous, nil
}

// checked is a whole ceremony that was checked, from the powers of tau on.
type checked struct {
	transcript  *Transcript
	powers      *Powers
	evaluations *mpcsetup.Phase2Evaluations
	last        *mpcsetup.Phase2
}

func check(dir string, c Circuit, powersPath string) (*checked, error) {
	t, last, err := chain(dir, c)
	if err != nil {
		return nil, err
	}
	powers, err := ReadPowers(powersPath, c.log())
	if err != nil {
		return nil, err
	}
	if powers.File != t.Powers {
		return nil, fmt.Errorf("%s is not the powers of tau file of this ceremony", powersPath)
	}
	first, evaluations := c.start(powers)
	var content bytes.Buffer
	if _, err := first.WriteTo(&content); err != nil {
		return nil, err
	}
	if digestOf(content.Bytes()) != t.Contributions[0].SHA256 {
		return nil, errors.New("the chain doesn't start from these powers of tau")
	}
	return &checked{t, powers, evaluations, last}, nil
}

// Keys are what a ceremony ends with.
type Keys struct {
	Proving   groth16.ProvingKey
	Verifying groth16.VerifyingKey
}

// Made tells the digests of keys, as they are stored.
type Made func(k Keys) (vkHash, provingKey string, err error)

// Finalise closes the chain with a beacon: bytes that nobody could have known when the last contribution was made, and that
// everybody can look up, such as a round of drand. It returns the keys; store must tell their digests.
func Finalise(dir string, c Circuit, powersPath string, beacon []byte, source string, store Made) (*Transcript, error) {
	if len(beacon) < 16 || len(beacon) > 256 || !isName(source) {
		return nil, errors.New("a beacon is 16 to 256 bytes, and says where it is from")
	}
	done, err := check(dir, c, powersPath)
	if err != nil {
		return nil, err
	}
	t := done.transcript
	switch {
	case t.Final != nil:
		return nil, errors.New("the ceremony has ended already")
	case len(t.Contributions) < 2:
		return nil, errors.New("nobody has contributed yet")
	}
	final, err := done.seal(beacon, store)
	if err != nil {
		return nil, err
	}
	final.BeaconSource = source
	t.Final = final
	return t, t.write(dir)
}

func (d *checked) seal(beacon []byte, store Made) (*Final, error) {
	proving, verifying := d.last.Seal(&d.powers.Commons, d.evaluations, beacon)
	vkHash, provingKey, err := store(Keys{proving, verifying})
	if err != nil {
		return nil, err
	}
	return &Final{Beacon: hex.EncodeToString(beacon), VKHash: vkHash, ProvingKey: provingKey}, nil
}

// Ended reads the transcript of a ceremony that was finalised.
func Ended(dir string) (*Transcript, error) {
	t, err := ReadTranscript(dir)
	switch {
	case err != nil:
		return nil, err
	case len(t.Contributions) < 2:
		return nil, fmt.Errorf("nobody has contributed to the ceremony in %s", dir)
	case t.Final == nil:
		return nil, fmt.Errorf("the ceremony in %s is not finalised: close it with a beacon (shale ceremony finalise)", dir)
	}
	return t, nil
}

// VerifyChain checks of a ceremony what takes a minute at most: that it is for the circuit, and that each contribution was made
// from the one before it. Verify checks the rest: that the chain starts from the powers of tau, and ends in its keys.
func VerifyChain(dir string, c Circuit) error {
	_, _, err := chain(dir, c)
	return err
}

// Verify checks all of a ceremony as far as it has come: the powers of tau, the start, every contribution and, if it has
// ended, that the beacon makes the keys that the transcript names.
func Verify(dir string, c Circuit, powersPath string, made Made) (*Transcript, error) {
	done, err := check(dir, c, powersPath)
	if err != nil || done.transcript.Final == nil {
		if err != nil {
			return nil, err
		}
		return done.transcript, nil
	}
	stated := *done.transcript.Final
	beacon, err := hex.DecodeString(stated.Beacon)
	if err != nil || len(done.transcript.Contributions) < 2 {
		return nil, errors.New("the transcript's beacon is no hex, or nobody has contributed")
	}
	final, err := done.seal(beacon, made)
	if err != nil {
		return nil, err
	}
	if final.VKHash != stated.VKHash || final.ProvingKey != stated.ProvingKey {
		return nil, errors.New("the beacon makes other keys than those that the transcript names")
	}
	return done.transcript, nil
}
