package piece

import (
	"encoding/binary"
	"io"
	"math/bits"

	commp "github.com/filecoin-project/go-fil-commp-hashhash"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Codes of the multicodec table that a piece CID is made of.
const (
	codecFilCommitmentUnsealed    = 0xf101
	hashSha256Trunc254Padded      = 0x1012
	hashFr32Sha256Trunc254Padbint = 0x1011
)

// minPayload is the smallest payload of a tree: shorter ones are padded with zeros to it (FRC-0069).
const minPayload = 127

// A Commitment names a piece. V1 is the CommP alone; V2 (FRC-0069) also carries the raw size.
type Commitment struct {
	V1         cid.Cid
	V2         cid.Cid
	RawSize    uint64 // bytes of payload
	PaddedSize uint64 // bytes of the fr32-padded piece, a power of two
}

// Commit reads r to its end, at most 63.5 GiB, and commits to what it read.
func Commit(r io.Reader) (Commitment, error) {
	calc := &commp.Calc{}
	defer calc.Reset()
	buf := make([]byte, minPayload<<13)
	n, err := io.CopyBuffer(writerOnly{calc}, readerOnly{r}, buf)
	if err != nil {
		return Commitment{}, err
	}
	raw := uint64(n)
	if raw < minPayload {
		if _, err := calc.Write(make([]byte, minPayload-raw)); err != nil {
			return Commitment{}, err
		}
	}
	root, padded, err := calc.Digest()
	if err != nil {
		return Commitment{}, err
	}
	return newCommitment(root, raw, padded)
}

func newCommitment(root []byte, raw, padded uint64) (Commitment, error) {
	v1, err := multihash.Encode(root, hashSha256Trunc254Padded)
	if err != nil {
		return Commitment{}, err
	}
	// FRC-0069: uvarint padding | uint8 tree height | 32 byte root.
	digest := binary.AppendUvarint(nil, padded/128*127-raw)
	digest = append(digest, byte(bits.TrailingZeros64(padded/32)))
	digest = append(digest, root...)
	v2, err := multihash.Encode(digest, hashFr32Sha256Trunc254Padbint)
	if err != nil {
		return Commitment{}, err
	}
	return Commitment{
		V1:         cid.NewCidV1(codecFilCommitmentUnsealed, v1),
		V2:         cid.NewCidV1(cid.Raw, v2),
		RawSize:    raw,
		PaddedSize: padded,
	}, nil
}

// The wrappers hide ReadFrom and WriteTo, so that the copy uses the buffer above: whole 127-byte quads each time.
type writerOnly struct{ io.Writer }
type readerOnly struct{ io.Reader }
