package piece

import (
	"bytes"
	"testing"

	"github.com/ipfs/go-cid"
)

func TestPieceIsNamedByBothItsCIDs(t *testing.T) {
	c, err := Commit(bytes.NewReader(bytes.Repeat([]byte("piece"), 1000)))
	if err != nil {
		t.Fatal(err)
	}
	other, err := Commit(bytes.NewReader([]byte("other")))
	if err != nil {
		t.Fatal(err)
	}
	if !c.Names(c.V1) || !c.Names(c.V2) || c.Names(other.V1) || c.Names(other.V2) {
		t.Error("named by another's CID, or not by its own")
	}
}

func TestPieceWithMoreZerosHasTheSameName(t *testing.T) {
	data := bytes.Repeat([]byte("piece"), 1000)
	short, err := Commit(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	long, err := Commit(bytes.NewReader(append(data, make([]byte, 100_000)...)))
	if err != nil {
		t.Fatal(err)
	}
	if !short.Names(long.V1) || !short.Names(long.V2) {
		t.Error("the zeros are the difference")
	}
	if long.Names(short.V1) {
		t.Error("a piece has the name of one with fewer zeros than it has bytes")
	}
}

func TestOtherCIDsNameNoPiece(t *testing.T) {
	for _, text := range []string{
		"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
		"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
	} {
		id := cid.MustParse(text)
		if IsPieceCID(id) == nil || (Commitment{}).Names(id) {
			t.Errorf("%s", text)
		}
	}
	if err := IsPieceCID(cid.MustParse("baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq")); err != nil {
		t.Error(err)
	}
}
