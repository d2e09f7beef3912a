package piece

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

const (
	nodeSize  = 32
	maxHeight = 31 // of a piece's tree: 64 GiB padded
)

// CommitmentCID names a piece by its 32-byte root, as piece CID version 1.
func CommitmentCID(root []byte) (cid.Cid, error) {
	if len(root) != nodeSize {
		return cid.Undef, fmt.Errorf("a commitment has %d bytes, not %d", nodeSize, len(root))
	}
	hash, err := multihash.Encode(root, hashSha256Trunc254Padded)
	if err != nil {
		return cid.Undef, err
	}
	return cid.NewCidV1(codecFilCommitmentUnsealed, hash), nil
}

// A pieceName is what a piece CID says: the root, and of version 2 the tree's height.
type pieceName struct {
	root   [nodeSize]byte
	height int // 0 if the CID doesn't say
}

// parseName reads a piece CID of version 1 or 2 (FRC-0069).
func parseName(id cid.Cid) (n pieceName, err error) {
	hash, err := multihash.Decode(id.Hash())
	if err != nil {
		return n, err
	}
	digest := hash.Digest
	switch {
	case id.Type() == codecFilCommitmentUnsealed && hash.Code == hashSha256Trunc254Padded:
	case id.Type() == cid.Raw && hash.Code == hashFr32Sha256Trunc254Padbint:
		_, used := binary.Uvarint(digest)
		if used <= 0 || len(digest) != used+1+nodeSize {
			return n, fmt.Errorf("%s is malformed: a piece CID of version 2 holds padding, height and root", id)
		}
		if n.height, digest = int(digest[used]), digest[used+1:]; n.height < 2 || n.height > maxHeight {
			return n, fmt.Errorf("%s is malformed: a tree of height %d", id, n.height)
		}
	default:
		return n, fmt.Errorf("%s is not a piece CID: these begin with baga6ea4seaq or bafkzcib", id)
	}
	if len(digest) != nodeSize {
		return n, fmt.Errorf("%s is malformed: a commitment has %d bytes, not %d", id, nodeSize, len(digest))
	}
	n.root = [nodeSize]byte(digest)
	return n, nil
}

// IsPieceCID says why a CID names no piece, if it doesn't.
func IsPieceCID(id cid.Cid) error {
	_, err := parseName(id)
	return err
}

// Names reports whether id names this piece, or it with more trailing zeros: a piece may have been padded up to a
// larger power of two, which neither its bytes nor version 1 of its CID tell.
func (c Commitment) Names(id cid.Cid) bool {
	have, err := parseName(c.V2)
	if err != nil {
		return false
	}
	_, named := PaddedTo(id, have.root, nodeSize<<have.height)
	return named
}

// PaddedTo is the padded size at which id names the tree of a root and a padded size, with more trailing zeros if need
// be; it reports false if id doesn't name it.
func PaddedTo(id cid.Cid, root [nodeSize]byte, padded uint64) (uint64, bool) {
	want, err := parseName(id)
	if err != nil {
		return 0, false
	}
	var zeros [nodeSize]byte
	for height := 0; height <= maxHeight; height++ {
		if size := uint64(nodeSize) << height; size >= padded {
			if root == want.root && (want.height == 0 || want.height == height) {
				return size, true
			}
			root = join(root, zeros)
		}
		zeros = join(zeros, zeros)
	}
	return 0, false
}

// join is the parent of two nodes: sha256 without its last two bits.
func join(left, right [nodeSize]byte) [nodeSize]byte {
	sum := sha256.Sum256(append(left[:], right[:]...))
	sum[nodeSize-1] &= 0x3f
	return sum
}
