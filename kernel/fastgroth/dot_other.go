//go:build !amd64

package fastgroth

import "github.com/consensys/gnark-crypto/ecc/bn254/fr"

var hasDot = false

func dot(*[9]uint64, *uint32, int, *fr.Element, *fr.Element) {
	panic("fastgroth: this processor has no dot")
}
