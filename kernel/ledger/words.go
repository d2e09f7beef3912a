package ledger

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/crypto/sha3"

	"github.com/shale-cloud/shale/kernel/voucher"
)

const (
	headWords = 4 // domain, old root, new root, window and earned
	slotWords = 4

	flagInsert = 1
	flagClaim  = 2
	flagClose  = 4
	flagBits   = 3

	// Bit offsets inside words.
	earnedShift  = 32
	flagsShift   = voucher.LeaseIDBits
	secondsShift = voucher.AmountBits

	// flagsPerWord is how many slots' flags fit a word of what c binds.
	flagsPerWord = 80
)

// WordsOf is the number of words of a batch's data.
func WordsOf(size int) int { return headWords + slotWords*size }

// Inputs are a batch's public inputs: what the circuit, and the contract, compress the batch data to.
type Inputs struct {
	C, R, E fr.Element
}

// compress computes the public inputs of batch data. C binds everything that the words are made of: the slots' new leaves,
// each of lease, key and what was paid, and their flags. R binds C beside the words: were it not, E would be a linear
// equation that other words could be fitted to.
func compress(words, leaves []fr.Element, flags []int) Inputs {
	bound := append(append([]fr.Element{}, words[1:headWords]...), leaves...)
	return inputsOf(words, voucher.Hash(words[0], append(bound, packed(flags)...)...))
}

// inputsOf is what the contract computes from the words and a given c.
func inputsOf(words []fr.Element, c fr.Element) Inputs {
	inputs := Inputs{C: c}
	keccak := sha3.NewLegacyKeccak256()
	for _, w := range words {
		keccak.Write(w.Marshal())
	}
	keccak.Write(inputs.C.Marshal())
	inputs.R.SetBytes(keccak.Sum(nil)) // reduces modulo p
	for i := len(words) - 1; i >= 0; i-- {
		inputs.E.Mul(&inputs.E, &inputs.R).Add(&inputs.E, &words[i])
	}
	return inputs
}

// packed puts the flags of slots, three bits each, into as few words as hold them, the first slot lowest.
func packed(flags []int) (words []fr.Element) {
	for start := 0; start < len(flags); start += flagsPerWord {
		sum := new(big.Int)
		for i, f := range flags[start:min(start+flagsPerWord, len(flags))] {
			sum.Add(sum, new(big.Int).Lsh(big.NewInt(int64(f)), uint(flagBits*i)))
		}
		words = append(words, word(sum))
	}
	return words
}

// words packs one step of a batch.
func (s step) words() (packed [slotWords]fr.Element) {
	if s.flags() == 0 {
		return packed
	}
	lease := s.LeaseID.BigInt(new(big.Int))
	packed[0] = word(lease.Add(lease, new(big.Int).Lsh(big.NewInt(int64(s.flags())), flagsShift)))
	paid := new(big.Int).Lsh(new(big.Int).SetUint64(s.Seconds), secondsShift)
	packed[1] = word(paid.Add(paid, amountOf(s.Amount)))
	if s.Insert {
		packed[2], packed[3] = s.Key.X, s.Key.Y
	}
	return packed
}

// Domain is what every voucher of one ledger contract on one chain under one set of keys is bound to:
// keccak256(abi.encode("shale.ledger.v2", chainId, ledger, keysHash)) >> 8.
func Domain(chainID uint64, contract [20]byte, keysHash [32]byte) fr.Element {
	const tag = "shale.ledger.v2"
	var encoded [6][32]byte
	encoded[0][31] = 4 * 32 // offset of the text, the one dynamic argument
	new(big.Int).SetUint64(chainID).FillBytes(encoded[1][:])
	copy(encoded[2][12:], contract[:])
	encoded[3] = keysHash
	encoded[4][31] = byte(len(tag))
	copy(encoded[5][:], tag)

	keccak := sha3.NewLegacyKeccak256()
	for _, w := range encoded {
		keccak.Write(w[:])
	}
	digest := new(big.Int).SetBytes(keccak.Sum(nil))
	var domain fr.Element
	domain.SetBigInt(digest.Rsh(digest, 8))
	return domain
}
