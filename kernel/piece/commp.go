package piece

import (
	"encoding/binary"
	"io"
	"math/bits"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece/commp"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
)

// Codes of the multicodec table that a piece CID is made of.
const (
	codecFilCommitmentUnsealed    = 0xf101
	hashSha256Trunc254Padded      = 0x1012
	hashFr32Sha256Trunc254Padbint = 0x1011
)

// A Commitment names a piece. V1 is the CommP alone; V2 (FRC-0069) also carries the raw size.
type Commitment struct {
	V1         cid.Cid
	V2         cid.Cid
	RawSize    uint64 // bytes of payload
	PaddedSize uint64 // bytes of the fr32-padded piece, a power of two
}

// Commit reads r to its end, at most 63.5 GiB, and commits to what it read.
func Commit(r io.Reader) (Commitment, error) {
	return commitWith(commp.NewWriter(), r)
}

func commitWith(w *commp.Writer, r io.Reader) (Commitment, error) {
	if _, err := io.CopyBuffer(w, readerOnly{r}, make([]byte, 1<<20)); err != nil {
		return Commitment{}, err
	}
	return newCommitment(w.Digest())
}

func newCommitment(d commp.Digest) (Commitment, error) {
	v1, err := multihash.Encode(d.Root[:], hashSha256Trunc254Padded)
	if err != nil {
		return Commitment{}, err
	}
	// FRC-0069: uvarint padding | uint8 tree height | 32 byte root.
	digest := binary.AppendUvarint(nil, d.PaddedSize/fr32.Padded*fr32.Raw-d.RawSize)
	digest = append(digest, byte(bits.TrailingZeros64(d.PaddedSize/32)))
	digest = append(digest, d.Root[:]...)
	v2, err := multihash.Encode(digest, hashFr32Sha256Trunc254Padbint)
	if err != nil {
		return Commitment{}, err
	}
	return Commitment{
		V1:         cid.NewCidV1(codecFilCommitmentUnsealed, v1),
		V2:         cid.NewCidV1(cid.Raw, v2),
		RawSize:    d.RawSize,
		PaddedSize: d.PaddedSize,
	}, nil
}

// A readerOnly hides WriteTo, so that the copy uses the buffer above.
type readerOnly struct{ io.Reader }
