package fastgroth

import (
	"reflect"
	"testing"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
)

func TestKeysAreThoseOfGnarkForTheSameRandomness(t *testing.T) {
	w := newWorld(t, 6, false)
	seeded(t)
	pk, vk, err := Setup(w.system)
	if err != nil {
		t.Fatal(err)
	}
	seeded(t)
	var theirs keys
	if err := groth16.Setup(w.system, &theirs.pk, &theirs.vk); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(pk, &theirs.pk) {
		t.Error("the proving keys differ")
	}
	if !reflect.DeepEqual(vk, &theirs.vk) {
		t.Error("the verifying keys differ")
	}
}
