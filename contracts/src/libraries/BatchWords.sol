// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../interfaces/ILedger.sol";

/// @dev Modulus of bn254's scalar field: a word is below it.
uint256 constant P = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

/// @dev Operations in a batch of the circuit; a test holds it to the verifying key's.
uint256 constant BATCH = 8;
uint256 constant WORDS = 3 + 5 * BATCH;

/// @title Packs a batch into words and compresses them to the proof's public inputs (docs/protocol.md, section 4).
library BatchWords {
    /// @notice The batch as words, padded with zeros; every one is below P if the roots and keys are.
    /// @dev Field widths keep the packed words below 2^200: no sum can wrap or carry into its neighbour.
    function pack(uint256 domain, uint256 oldRoot, uint256 newRoot, ILedger.Op[] calldata ops)
        internal
        pure
        returns (uint256[WORDS] memory words)
    {
        words[0] = domain;
        words[1] = oldRoot;
        words[2] = newRoot;
        for (uint256 i = 0; i < ops.length; ++i) {
            ILedger.Op calldata op = ops[i];
            uint256 at = 3 + 5 * i;
            words[at] = op.leaseId;
            words[at + 1] = uint256(op.index) | (uint256(op.flags) << 32) | (uint256(op.numSeconds) << 40)
                | (uint256(op.deposit) << 104);
            words[at + 2] = uint256(op.amount) | (uint256(op.prevAmount) << 96);
            words[at + 3] = op.payKeyX;
            words[at + 4] = op.payKeyY;
        }
    }

    /// @notice The challenge r, bound to the words and to c, and the words' polynomial at it.
    /// @dev r must bind c as well: else e would be a linear equation that a prover can solve for other words.
    function compress(uint256[WORDS] memory words, uint256 c) internal pure returns (uint256 r, uint256 e) {
        r = uint256(keccak256(abi.encodePacked(words, c))) % P;
        for (uint256 i = WORDS; i > 0; --i) {
            uint256 word = words[i - 1];
            if (word >= P) revert ILedger.NotAWord(word);
            e = addmod(mulmod(e, r, P), word, P);
        }
    }
}
