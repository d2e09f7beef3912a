//go:build !amd64

package commp

func loops() map[string]func(dst, src []byte) {
	return map[string]func(dst, src []byte){"portable": hashPairsPortable}
}
