package inclusion

import (
	"bytes"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-varint"

	"github.com/shale-cloud/shale/kernel/piece"
)

// Section is the range of a block's section in a CAR: its length, its CID, its data.
func Section(id cid.Cid, block piece.Block) (at, size int64) {
	body := id.ByteLen() + int(block.Size)
	head := varint.UvarintSize(uint64(body)) + id.ByteLen()
	return block.Offset - int64(head), int64(head) + int64(block.Size)
}

// BlockIn is the data of a proven section, if it is the section of the block id.
func BlockIn(section []byte, id cid.Cid) ([]byte, error) {
	length, n, err := varint.FromUvarint(section)
	if err != nil {
		return nil, fmt.Errorf("the proven bytes are no section of a CAR: length: %v", err)
	}
	body := section[n:]
	if length != uint64(len(body)) {
		return nil, fmt.Errorf("the proven bytes are no section of a CAR: %d bytes follow a length of %d", len(body), length)
	}
	n, found, err := cid.CidFromBytes(body)
	if err != nil {
		return nil, fmt.Errorf("the proven bytes are no section of a CAR: CID: %v", err)
	}
	if !bytes.Equal(found.Hash(), id.Hash()) {
		return nil, fmt.Errorf("the proven section is of block %s, not of %s", found, id)
	}
	return body[n:], nil
}
