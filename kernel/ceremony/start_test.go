package ceremony

import (
	"bytes"
	"math/big"
	"reflect"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
)

// mixedCircuit has coefficients of all kinds, and a wire in more places than are summed at a time.
type mixedCircuit struct {
	X, Y frontend.Variable
	Z    frontend.Variable `gnark:",public"`
}

func (c *mixedCircuit) Define(api frontend.API) error {
	state := c.X
	large, _ := new(big.Int).SetString("123456789012345678901234567890123456789012345678901234567890", 10)
	for i := range 150 {
		state = api.Mul(api.Add(api.Mul(state, i%5), c.Y, 1, api.Mul(c.X, large)), api.Sub(api.Mul(c.Y, new(big.Int).Lsh(big.NewInt(1), uint(i))), c.X))
	}
	api.AssertIsEqual(state, c.Z)
	return nil
}

func TestStartIsThatOfGnark(t *testing.T) {
	compiled, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &mixedCircuit{})
	if err != nil {
		t.Fatal(err)
	}
	system := compiled.(*cs.R1CS)
	sealed := mpcsetup.NewPhase1(256)
	sealed.Contribute()
	commons := sealed.Seal([]byte("beacon"))

	wanted := new(mpcsetup.Phase2)
	wantedEvaluations := wanted.Initialize(system, &commons)
	got, evaluations := start(system, &commons)
	var first, second bytes.Buffer
	if _, err := wanted.WriteTo(&first); err != nil {
		t.Fatal(err)
	}
	if _, err := got.WriteTo(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the chain starts otherwise")
	}
	if !reflect.DeepEqual(wantedEvaluations, *evaluations) {
		t.Error("the evaluations differ")
	}
}

func TestScalarsAreTheirDigits(t *testing.T) {
	for _, text := range []string{"0", "1", "-1", "2", "7", "8", "9", "15", "-16", "255", "-123456789012345678901234567890", "10944121435919637611123202872628637544274182200208017171849102093287904247808"} {
		var element, sum, two fr.Element
		if _, err := element.SetString(text); err != nil {
			t.Fatal(err)
		}
		s := scalarOf(element)
		two.SetUint64(2)
		for i := len(s.digits) - 1; i >= 0; i-- {
			var digit fr.Element
			if d := s.digits[i]; d != 0 && (d%2 == 0 || d > 7 || d < -7) {
				t.Errorf("%s has the digit %d", text, d)
			}
			digit.SetInt64(int64(s.digits[i]))
			sum.Mul(&sum, &two).Add(&sum, &digit)
		}
		if s.negative {
			sum.Neg(&sum)
		}
		if sum != element {
			t.Errorf("%s is %v", text, s)
		}
	}
}
