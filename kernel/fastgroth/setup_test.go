package fastgroth

import (
	"reflect"
	"testing"
)

func TestKeysAreThoseOfGnarkForTheSameRandomness(t *testing.T) {
	w := newWorld(t, 6, false)
	seeded(t)
	pk, vk, err := Setup(w.system)
	if err != nil {
		t.Fatal(err)
	}
	seeded(t)
	theirs := newKeys(t, w.system)
	if !reflect.DeepEqual(pk, &theirs.pk) {
		t.Error("the proving keys differ")
	}
	if !reflect.DeepEqual(vk, &theirs.vk) {
		t.Error("the verifying keys differ")
	}
}
