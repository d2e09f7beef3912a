package unixfs

import (
	"bytes"
	"fmt"

	"github.com/ipfs/go-cid"
)

// CheckBlock says why data is not the block of a CID, or why no block can be compared with the CID, if so.
func CheckBlock(c cid.Cid, data []byte) error {
	id, err := parseID(c)
	if err != nil {
		return err
	}
	if id.hash == identity && !bytes.Equal(id.inline, data) || id.hash != identity && id.hash.sum(data) != id.digest {
		return fmt.Errorf("%d bytes that are not block %s", len(data), c)
	}
	return nil
}
