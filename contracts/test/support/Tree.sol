// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {VerifyingKey} from "../../src/generated/VerifyingKey.sol";
import {IVerifier} from "../../src/interfaces/IVerifier.sol";
import {P} from "../../src/libraries/BatchWords.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../../src/libraries/PackedOps.sol";

/// @notice Takes those public inputs that the model has proven, and no others.
contract ModelVerifier is IVerifier {
    error ProofInvalid();

    mapping(bytes32 inputs => bool yes) private _proven;

    function prove(uint256[3] memory input) external {
        _proven[keccak256(abi.encode(input))] = true;
    }

    function proven(uint256[3] memory input) external view returns (bool) {
        return _proven[keccak256(abi.encode(input))];
    }

    function verifyProof(bytes calldata, uint256[3] calldata input) external view {
        if (!_proven[keccak256(abi.encode(input))]) revert ProofInvalid();
    }
}

/// @notice A provider's tree with its whole past, and the statement that the circuit proves of it: a model of the rules in
/// docs/protocol.md, section 4, written apart from the contracts. Its root is a sum of hashes instead of a Merkle tree's,
/// which here serves as well: the same leaves give the same root and others another.
/// @dev Whoever asks gets a proof of anything true of any root that the tree ever had, and of any voucher.
contract Tree {
    struct Leaf {
        uint256 leaseId;
        bytes32 key;
        uint256 amount;
        uint256 numSeconds;
    }

    struct Change {
        uint256 version;
        Leaf leaf;
    }

    error Unprovable();

    uint256 public root = VerifyingKey.EMPTY_ROOT;
    uint256 public version;
    mapping(uint256 root => uint256 version) public versionOf;
    mapping(uint256 index => Change[] changes) private _changes;

    /// @notice The leaf as it stood in that version; all zero if empty.
    function leafAt(uint256 index, uint256 at) public view returns (Leaf memory leaf) {
        Change[] storage changes = _changes[index];
        for (uint256 i = changes.length; i > 0; --i) {
            if (changes[i - 1].version <= at) return changes[i - 1].leaf;
        }
    }

    /// @notice Where the batch leads from a root of the tree, and what it earns. Reverts if no proof of it exists.
    function prove(uint256 oldRoot, uint256 window, uint256 size, Op[] memory ops)
        external
        view
        returns (uint256 newRoot, uint256 earned)
    {
        if (oldRoot != VerifyingKey.EMPTY_ROOT && versionOf[oldRoot] == 0) revert Unprovable();
        newRoot = oldRoot;
        for (uint256 i = 0; i < ops.length; ++i) {
            Op memory op = ops[i];
            if (op.slot >= size) revert Unprovable();
            uint256 index = window * size + op.slot;
            Leaf memory old = leafAt(index, versionOf[oldRoot]);
            Leaf memory next = _next(old, op);
            earned += op.amount - old.amount;
            newRoot = addmod(newRoot, P - digest(index, old), P);
            newRoot = addmod(newRoot, digest(index, next), P);
        }
    }

    /// @notice Moves on by a batch from the present root.
    function apply_(uint256 newRoot, uint256 window, uint256 size, Op[] memory ops) external {
        ++version;
        for (uint256 i = 0; i < ops.length; ++i) {
            uint256 index = window * size + ops[i].slot;
            Leaf memory next = _next(leafAt(index, version - 1), ops[i]);
            _changes[index].push(Change(version, next));
        }
        (root, versionOf[newRoot]) = (newRoot, version);
    }

    function digest(uint256 index, Leaf memory leaf) public pure returns (uint256) {
        return leaf.leaseId == 0 ? 0 : uint256(keccak256(abi.encode(index, leaf))) >> 8;
    }

    function _next(Leaf memory old, Op memory op) private pure returns (Leaf memory next) {
        bool inserts = op.flags & INSERT != 0;
        bytes32 key = inserts ? keccak256(abi.encode(op.payKeyX, op.payKeyY)) : old.key;
        if (op.flags == 0 || op.flags > (INSERT | CLAIM | CLOSE)) revert Unprovable();
        if (old.leaseId != (inserts ? 0 : op.leaseId)) revert Unprovable();
        if (op.flags & CLAIM == 0 && (op.amount != old.amount || op.numSeconds != old.numSeconds)) {
            revert Unprovable();
        }
        if (op.amount < old.amount || op.numSeconds < old.numSeconds) revert Unprovable();
        if (op.flags & CLOSE == 0) next = Leaf(op.leaseId, key, op.amount, op.numSeconds);
    }
}
