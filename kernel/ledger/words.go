package ledger

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/crypto/sha3"

	"github.com/shale-cloud/shale/kernel/voucher"
)

const (
	headWords      = 3 // domain, old root, new root
	operationWords = 5
	// Words is the number of words of a batch's data.
	Words = headWords + operationWords*Batch

	flagInsert = 1
	flagClaim  = 2
	flagClose  = 4

	// Bit offsets inside an operation's second and third word.
	flagsShift      = 32
	secondsShift    = 40
	depositShift    = 104
	prevAmountShift = 96
)

// Inputs are a batch's public inputs: what the circuit, and the contract, compress the batch data to.
type Inputs struct {
	C, R, E fr.Element
}

// Compress computes the public inputs of batch data. R binds C beside the data: were it not, E would be a linear
// equation that other data could be fitted to.
func Compress(words [Words]fr.Element) Inputs {
	inputs := Inputs{C: voucher.Hash(words[:]...)}
	keccak := sha3.NewLegacyKeccak256()
	for _, w := range words {
		keccak.Write(w.Marshal())
	}
	keccak.Write(inputs.C.Marshal())
	inputs.R.SetBytes(keccak.Sum(nil)) // reduces modulo p
	for i := Words - 1; i >= 0; i-- {
		inputs.E.Mul(&inputs.E, &inputs.R).Add(&inputs.E, &words[i])
	}
	return inputs
}

// words packs one step of a batch.
func (s step) words() (packed [operationWords]fr.Element) {
	if s.flags() == 0 {
		return packed
	}
	packed[0] = s.LeaseID

	second := new(big.Int).Lsh(amountOf(s.Deposit), depositShift)
	second.Add(second, new(big.Int).Lsh(new(big.Int).SetUint64(s.Seconds), secondsShift))
	second.Add(second, new(big.Int).Lsh(big.NewInt(int64(s.flags())), flagsShift))
	second.Add(second, big.NewInt(int64(s.Index)))
	packed[1].SetBigInt(second)

	third := new(big.Int).Lsh(amountOf(s.prevAmount), prevAmountShift)
	third.Add(third, amountOf(s.Amount))
	packed[2].SetBigInt(third)

	if s.Insert {
		packed[3], packed[4] = s.Key.X, s.Key.Y
	}
	return packed
}

// Domain is what every voucher of one ledger contract on one chain under one verifying key is bound to:
// keccak256(abi.encode("shale.ledger.v1", chainId, ledger, vkHash)) >> 8.
func Domain(chainID uint64, contract [20]byte, vkHash [32]byte) fr.Element {
	const tag = "shale.ledger.v1"
	var encoded [6][32]byte
	encoded[0][31] = 4 * 32 // offset of the text, the one dynamic argument
	new(big.Int).SetUint64(chainID).FillBytes(encoded[1][:])
	copy(encoded[2][12:], contract[:])
	encoded[3] = vkHash
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
