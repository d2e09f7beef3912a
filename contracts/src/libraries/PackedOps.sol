// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../interfaces/ILedger.sol";

/// @dev Flags of an operation.
uint256 constant INSERT = 1;
uint256 constant CLAIM = 2;
uint256 constant CLOSE = 4;

/// @dev The last of the end reasons of docs/protocol.md, section 2.
uint256 constant LAST_REASON = 9;

/// @notice One operation of a batch (docs/protocol.md, section 4).
/// @param reason An end reason if it closes, else 0; recorded, not proven.
/// @param payKeyX,payKeyY The payment key if it inserts, else 0.
struct Op {
    uint256 slot;
    uint256 flags;
    uint256 reason;
    uint256 leaseId;
    uint256 amount;
    uint256 numSeconds;
    uint256 payKeyX;
    uint256 payKeyY;
}

/// @title Reads a batch's operations from their packed form: 54 bytes each, 118 with a key.
/// @dev slot u8 ‖ flags u8 ‖ reason u8 ‖ leaseId u248 ‖ amount u96 ‖ seconds u64 (‖ payKeyX ‖ payKeyY), big-endian.
library PackedOps {
    uint256 internal constant PLAIN_BYTES = 54;
    uint256 internal constant INSERT_BYTES = 118;
    uint256 private constant ALL_FLAGS = INSERT | CLAIM | CLOSE;

    /// @notice Reads the operation that begins at `offset` into `op`, and says where the next one begins.
    /// @param least The lowest slot that it may have: one above the last operation's.
    /// @param size Slots in the batch.
    function read(Op memory op, bytes calldata ops, uint256 offset, uint256 least, uint256 size)
        internal
        pure
        returns (uint256 next)
    {
        if (ops.length < offset + PLAIN_BYTES) revert ILedger.BadOperations(offset);
        // Two overlapping words hold all 54 bytes: 0 to 31, and 22 to 53.
        uint256 head = uint256(bytes32(ops[offset:]));
        uint256 tail = uint256(bytes32(ops[offset + 22:]));
        op.slot = head >> 248;
        op.flags = (head >> 240) & 0xff;
        op.reason = (head >> 232) & 0xff;
        op.leaseId = ((head & ((1 << 232) - 1)) << 16) | ((tail >> 160) & 0xffff);
        op.amount = (tail >> 64) & type(uint96).max;
        op.numSeconds = tail & type(uint64).max;
        next = offset + PLAIN_BYTES;
        (op.payKeyX, op.payKeyY) = (0, 0);
        if (op.flags & INSERT != 0) {
            next = offset + INSERT_BYTES;
            if (ops.length < next) revert ILedger.BadOperations(offset);
            op.payKeyX = uint256(bytes32(ops[offset + PLAIN_BYTES:]));
            op.payKeyY = uint256(bytes32(ops[offset + PLAIN_BYTES + 32:]));
        }
        bool known = op.flags != 0 && op.flags <= ALL_FLAGS && op.reason <= LAST_REASON;
        bool reasoned = op.reason == 0 || op.flags & CLOSE != 0;
        if (!known || !reasoned || op.slot < least || op.slot >= size) revert ILedger.BadOperations(offset);
    }
}
