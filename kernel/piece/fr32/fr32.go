// Package fr32 converts between a piece's raw bytes and their form in a sector: each 254 bits of data are padded with
// two zero bits to a 32-byte field element, so 127 bytes become 128.
package fr32

import "encoding/binary"

const (
	// Raw and Padded are the bytes of one quad, four field elements, before and after padding.
	Raw    = 127
	Padded = 128
)

// element masks the top word of a field element: its last two bits are padding.
const element = 1<<62 - 1

var le = binary.LittleEndian

// Pad fills dst, whole quads of 128 bytes, from 127 bytes of src for each.
func Pad(dst, src []byte) {
	for ; len(dst) >= Padded; dst, src = dst[Padded:], src[Raw:] {
		padQuad((*[Padded]byte)(dst), (*[Raw]byte)(src))
	}
}

// Unpad fills dst with 127 bytes for each whole quad of 128 bytes in src. It reports the offset in src of the first
// field element whose padding bits are set, which no padded data has, or -1.
func Unpad(dst, src []byte) int { return unpad(dst, src) }

// unpad is the best loop that this processor has.
var unpad = unpadPortable

func unpadPortable(dst, src []byte) int {
	bad := -1
	for at := 0; at+Padded <= len(src); at += Padded {
		quad := (*[Padded]byte)(src[at:])
		if set := unpadQuad((*[Raw]byte)(dst[at/Padded*Raw:]), quad); set != 0 && bad < 0 {
			bad = at + firstSet(quad)
		}
	}
	return bad
}

func firstSet(quad *[Padded]byte) int {
	for at := 0; at < Padded; at += 32 {
		if quad[at+31]>>6 != 0 {
			return at
		}
	}
	return -1
}

// padQuad moves element k up by 2k bits. Words are little-endian, as bits are numbered from each byte's lowest.
func padQuad(dst *[Padded]byte, src *[Raw]byte) {
	var in [16]uint64
	for i := range 15 {
		in[i] = le.Uint64(src[8*i:])
	}
	in[15] = le.Uint64(src[Raw-8:]) >> 8
	le.PutUint64(dst[0:], in[0])
	le.PutUint64(dst[8:], in[1])
	le.PutUint64(dst[16:], in[2])
	le.PutUint64(dst[24:], in[3]&element)
	le.PutUint64(dst[32:], in[3]>>62|in[4]<<2)
	le.PutUint64(dst[40:], in[4]>>62|in[5]<<2)
	le.PutUint64(dst[48:], in[5]>>62|in[6]<<2)
	le.PutUint64(dst[56:], (in[6]>>62|in[7]<<2)&element)
	le.PutUint64(dst[64:], in[7]>>60|in[8]<<4)
	le.PutUint64(dst[72:], in[8]>>60|in[9]<<4)
	le.PutUint64(dst[80:], in[9]>>60|in[10]<<4)
	le.PutUint64(dst[88:], (in[10]>>60|in[11]<<4)&element)
	le.PutUint64(dst[96:], in[11]>>58|in[12]<<6)
	le.PutUint64(dst[104:], in[12]>>58|in[13]<<6)
	le.PutUint64(dst[112:], in[13]>>58|in[14]<<6)
	le.PutUint64(dst[120:], in[14]>>58|in[15]<<6)
}

// unpadQuad is the inverse of padQuad; it returns the padding bits, all in the two highest of the word.
func unpadQuad(dst *[Raw]byte, src *[Padded]byte) uint64 {
	var in [16]uint64
	for i := range in {
		in[i] = le.Uint64(src[8*i:])
	}
	set := (in[3] | in[7] | in[11] | in[15]) &^ element
	in[3] &= element
	in[7] &= element
	in[11] &= element
	in[15] &= element
	le.PutUint64(dst[0:], in[0])
	le.PutUint64(dst[8:], in[1])
	le.PutUint64(dst[16:], in[2])
	le.PutUint64(dst[24:], in[3]|in[4]<<62)
	le.PutUint64(dst[32:], in[4]>>2|in[5]<<62)
	le.PutUint64(dst[40:], in[5]>>2|in[6]<<62)
	le.PutUint64(dst[48:], in[6]>>2|in[7]<<62)
	le.PutUint64(dst[56:], in[7]>>2|in[8]<<60)
	le.PutUint64(dst[64:], in[8]>>4|in[9]<<60)
	le.PutUint64(dst[72:], in[9]>>4|in[10]<<60)
	le.PutUint64(dst[80:], in[10]>>4|in[11]<<60)
	le.PutUint64(dst[88:], in[11]>>4|in[12]<<58)
	le.PutUint64(dst[96:], in[12]>>6|in[13]<<58)
	le.PutUint64(dst[104:], in[13]>>6|in[14]<<58)
	// The last word has seven bytes: written from one byte before, with the byte that stands there.
	last := in[14]>>6 | in[15]<<58
	le.PutUint64(dst[112:], last)
	le.PutUint64(dst[Raw-8:], in[15]>>6<<8|last>>56)
	return set
}
