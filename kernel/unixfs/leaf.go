package unixfs

import (
	"crypto/sha256"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"golang.org/x/crypto/blake2b"
)

// A leaf is a run of file bytes inside one block, with what it takes to verify the block.
type leaf struct {
	offset int64  // of the block in the source, or of the bytes in Tree.inline; missing = no such block
	size   uint32 // of the block
	start  uint32 // of the file bytes in the block: not 0 when the block is a dag-pb node
	length uint32 // of the file bytes
	hash   hashFunc
	dagpb  bool
	digest [32]byte
}

const missing int64 = -1

func (l *leaf) verifies(block []byte) bool { return l.hash.sum(block) == l.digest }

// cid names the block, as version 1.
func (l *leaf) cid() cid.Cid {
	codec := uint64(cid.Raw)
	if l.dagpb {
		codec = cid.DagProtobuf
	}
	mh, err := multihash.Encode(l.digest[:], l.hash.code())
	if err != nil {
		panic(err) // a 32-byte digest always encodes
	}
	return cid.NewCidV1(codec, mh)
}

// A hashFunc is one that blocks of Filecoin's datasets are named by.
type hashFunc uint8

const (
	sha2_256 hashFunc = iota
	blake2b_256
	identity // the digest is the data itself
)

func (h hashFunc) sum(data []byte) [32]byte {
	if h == blake2b_256 {
		return blake2b.Sum256(data)
	}
	return sha256.Sum256(data)
}

func (h hashFunc) code() uint64 {
	return [...]uint64{multihash.SHA2_256, multihash.BLAKE2B_MIN + 31, multihash.IDENTITY}[h]
}

// A blockID is a CID taken apart: what a block is and how it is verified.
type blockID struct {
	cid    cid.Cid
	dagpb  bool
	hash   hashFunc
	digest [32]byte
	inline []byte // the data, if hash is identity
}

func parseID(c cid.Cid) (blockID, error) {
	id := blockID{cid: c}
	switch c.Type() {
	case cid.Raw:
	case cid.DagProtobuf:
		id.dagpb = true
	default:
		return id, fmt.Errorf("%s has codec 0x%x: UnixFS is made of raw and dag-pb", c, c.Type())
	}
	mh, err := multihash.Decode(c.Hash())
	if err != nil {
		return id, err
	}
	switch {
	case mh.Code == multihash.IDENTITY:
		id.hash, id.inline = identity, mh.Digest
	case mh.Code == multihash.SHA2_256 && mh.Length == 32:
		id.hash = sha2_256
	case mh.Code == multihash.BLAKE2B_MIN+31 && mh.Length == 32:
		id.hash = blake2b_256
	default:
		return id, fmt.Errorf("%s has hash function 0x%x of %d bytes: known are sha2-256, blake2b-256 and identity", c, mh.Code, mh.Length)
	}
	if id.hash != identity {
		copy(id.digest[:], mh.Digest)
	}
	return id, nil
}
