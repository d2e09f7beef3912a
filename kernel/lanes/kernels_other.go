//go:build !amd64

package lanes

// Supported is false where no kernels are written.
var Supported = false

func mul(_, _, _ *uint64, _, _ int, _ *Field) { panic("lanes: this processor has no kernels") }
