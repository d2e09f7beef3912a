package fr32

// Loops are the one that the processor's best instructions make and the one that any has.
var Loops = map[string]func(dst, src []byte) int{"chosen": Unpad, "portable": unpadPortable}
