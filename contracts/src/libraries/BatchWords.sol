// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../interfaces/ILedger.sol";
import {Op} from "./PackedOps.sol";

/// @dev Modulus of bn254's scalar field: a word is below it.
uint256 constant P = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

/// @title Lays a batch out as words and compresses them to the proof's public inputs (docs/protocol.md, section 4).
library BatchWords {
    /// @notice Words before the first slot's, and words of each slot.
    uint256 internal constant HEAD = 4;
    uint256 internal constant PER_SLOT = 4;

    /// @notice The words of a batch of `size` slots, none of them touched yet, and c behind them.
    /// @param window Below 2^20.
    /// @param earned Below 2^104.
    function begin(
        uint256 size,
        uint256 domain,
        uint256 oldRoot,
        uint256 newRoot,
        uint256 window,
        uint256 earned,
        uint256 c
    ) internal pure returns (uint256[] memory words) {
        words = new uint256[](HEAD + PER_SLOT * size + 1);
        words[0] = domain;
        words[1] = oldRoot;
        words[2] = newRoot;
        words[3] = window | (earned << 32);
        words[words.length - 1] = c;
    }

    /// @notice Writes an operation into its slot's words.
    /// @dev The decoder's field widths keep the packed words below 2^251: no field reaches into its neighbour.
    function put(uint256[] memory words, Op memory op) internal pure {
        uint256 at = HEAD + PER_SLOT * op.slot;
        words[at] = op.leaseId | (op.flags << 248);
        words[at + 1] = op.amount | (op.numSeconds << 96);
        words[at + 2] = op.payKeyX;
        words[at + 3] = op.payKeyY;
    }

    /// @notice The challenge r, bound to the words and to c, and the words' polynomial at it.
    /// @dev r must bind c as well: else e would be a linear equation that a prover can solve for other words.
    /// @param words What `begin` and `put` made: c is the last of them, and no coefficient.
    function compress(uint256[] memory words) internal pure returns (uint256 r, uint256 e) {
        uint256 alias_;
        // By hand because there are 1,028 words in a batch of 256: Horner's rule from the last word to the first.
        assembly ("memory-safe") {
            let first := add(words, 32)
            let at := add(first, mul(mload(words), 32))
            r := mod(keccak256(first, sub(at, first)), P)
            at := sub(at, 32)
            if iszero(lt(mload(at), P)) { alias_ := mload(at) }
            for {} gt(at, first) {} {
                at := sub(at, 32)
                let word := mload(at)
                if iszero(lt(word, P)) { alias_ := word }
                e := addmod(mulmod(e, r, P), word, P)
            }
        }
        if (alias_ != 0) revert ILedger.NotAWord(alias_);
    }
}
