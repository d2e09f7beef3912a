package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"regexp"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/ledger"
	"github.com/shale-cloud/shale/kernel/voucher"
)

// The forms that values have in JSON. Each type refuses what is out of its range while it is read, so that no method sees
// an unchecked value. Messages name the form and never repeat the value: it may be a secret.

type wireWord fr.Element

type wireLeaseID fr.Element

type wireAmount big.Int

type wireSecret voucher.Secret

type wireBytes []byte

var (
	hexForm    = regexp.MustCompile(`^0x[0-9a-fA-F]{1,64}$`)
	amountForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,28})$`)
)

func (w *wireWord) UnmarshalJSON(raw []byte) error {
	value, err := readHex(raw)
	if err != nil {
		return err
	}
	if value.Cmp(fr.Modulus()) >= 0 {
		return errors.New("a word must be below the field's modulus")
	}
	(*fr.Element)(w).SetBigInt(value)
	return nil
}

func (w wireWord) MarshalJSON() ([]byte, error) {
	element := fr.Element(w)
	return json.Marshal("0x" + hex.EncodeToString(element.Marshal()))
}

func (w *wireLeaseID) UnmarshalJSON(raw []byte) error {
	value, err := readHex(raw)
	if err != nil {
		return err
	}
	if value.BitLen() > voucher.LeaseIDBits {
		return errors.New("a lease id must be below 2^248")
	}
	(*fr.Element)(w).SetBigInt(value)
	return nil
}

func (a *wireAmount) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil || !amountForm.MatchString(text) {
		return errors.New("an amount must be attoFIL as a decimal string")
	}
	if (*big.Int)(a).SetString(text, 10); (*big.Int)(a).BitLen() > voucher.AmountBits {
		return errors.New("an amount must be below 2^96")
	}
	return nil
}

func (s *wireSecret) UnmarshalJSON(raw []byte) error {
	var given wireBytes
	if err := given.UnmarshalJSON(raw); err != nil || len(given) != voucher.SecretSize {
		return errors.New("a secret must be 32 bytes as 0x-hex")
	}
	copy(s[:], given)
	return nil
}

func (s wireSecret) MarshalJSON() ([]byte, error) { return wireBytes(s[:]).MarshalJSON() }

func (b *wireBytes) UnmarshalJSON(raw []byte) error {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil {
		return errors.New("bytes must be 0x-hex")
	}
	if text == nil {
		*b = nil
		return nil
	}
	if len(*text) < 2 || (*text)[:2] != "0x" || len(*text) > 2+2*256 {
		return errors.New("bytes must be 0x-hex, at most 256 of them")
	}
	decoded, err := hex.DecodeString((*text)[2:])
	if err != nil {
		return errors.New("bytes must be 0x-hex with two digits each")
	}
	*b = decoded
	return nil
}

func (b wireBytes) MarshalJSON() ([]byte, error) { return json.Marshal("0x" + hex.EncodeToString(b)) }

func readHex(raw []byte) (*big.Int, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil || !hexForm.MatchString(text) {
		return nil, errors.New("a word must be 0x-hex of at most 64 digits")
	}
	value, _ := new(big.Int).SetString(text[2:], 16)
	return value, nil
}

type wireLeaf struct {
	Index   *uint32      `json:"index"`
	LeaseID *wireLeaseID `json:"lease_id"`
	X       *wireWord    `json:"x"`
	Y       *wireWord    `json:"y"`
	Amount  *wireAmount  `json:"amount"`
	Seconds *uint64      `json:"seconds"`
}

type wireOperation struct {
	wireLeaf
	Insert    bool      `json:"insert"`
	Claim     bool      `json:"claim"`
	Close     bool      `json:"close"`
	Signature wireBytes `json:"signature"`
}

// wireTree is a tree: leaves, and subtrees that none of them lies in.
type wireTree struct {
	Leaves   []wireLeaf    `json:"leaves"`
	Subtrees []wireSubtree `json:"subtrees"`
}

type wireSubtree ledger.Subtree

func (s *wireSubtree) UnmarshalJSON(raw []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(raw, &pair); err != nil || len(pair) != 2 {
		return errors.New("a subtree must be [number, hash]")
	}
	var number *uint32
	if err := json.Unmarshal(pair[0], &number); err != nil || number == nil {
		return errors.New("a subtree's number must be uint32")
	}
	s.Number = *number
	return (*wireWord)(&s.Hash).UnmarshalJSON(pair[1])
}

func (l wireLeaf) leaf() (ledger.Leaf, error) {
	if l.Index == nil || l.LeaseID == nil || l.X == nil || l.Y == nil || l.Amount == nil || l.Seconds == nil {
		return ledger.Leaf{}, refused("a leaf has index, lease_id, x, y, amount and seconds")
	}
	return ledger.Leaf{
		Index:   *l.Index,
		LeaseID: fr.Element(*l.LeaseID),
		Key:     voucher.Key{X: fr.Element(*l.X), Y: fr.Element(*l.Y)},
		Amount:  (*big.Int)(l.Amount),
		Seconds: *l.Seconds,
	}, nil
}

func leavesOf(wire []wireLeaf) ([]ledger.Leaf, error) {
	leaves := make([]ledger.Leaf, len(wire))
	for i, w := range wire {
		leaf, err := w.leaf()
		if err != nil {
			return nil, refused("leaf %d: %v", i, err)
		}
		leaves[i] = leaf
	}
	return leaves, nil
}

func subtreesOf(wire []wireSubtree) []ledger.Subtree {
	subtrees := make([]ledger.Subtree, len(wire))
	for i, w := range wire {
		subtrees[i] = ledger.Subtree(w)
	}
	return subtrees
}

func operationsOf(wire []wireOperation) ([]ledger.Operation, error) {
	operations := make([]ledger.Operation, len(wire))
	for i, w := range wire {
		leaf, err := w.leaf()
		if err != nil {
			return nil, refused("operation %d: %v", i, err)
		}
		operations[i] = ledger.Operation{Leaf: leaf, Insert: w.Insert, Claim: w.Claim, Close: w.Close, Signature: w.Signature}
	}
	return operations, nil
}

// read decodes a method's parameters and refuses those that it doesn't know.
func read(raw json.RawMessage, params any) error {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		raw = json.RawMessage("{}")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(params); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			// The path names Go's types too: only its end is the caller's.
			return refused("params: %s must be %v", kind.Field[strings.LastIndex(kind.Field, ".")+1:], kind.Type)
		}
		return refused("params: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return refused("params: more than one value")
	}
	return nil
}
