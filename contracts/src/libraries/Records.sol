// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../interfaces/ILedger.sol";

/// @dev The longest term of a lease in seconds, extensions included.
uint64 constant MAX_TERM = 10 * 365 days;

/// @notice A lease in three slots, of which an insert or a close rewrites only the last.
/// @param openedAt The block's time at the lock. Until an End the term is what lies from it to a window before `overdueAt`.
/// @param result While open: 31 bytes of the payment key's hash, then the state. Closed: closedAt u64 ‖ reason u8 ‖
/// numSeconds u64 ‖ paid u96 ‖ state u8, right-aligned.
struct Record {
    address client;
    uint48 overdueAt;
    uint48 openedAt;
    address provider;
    uint96 deposit;
    uint256 result;
}

/// @title Reads and writes the records of leases.
library Records {
    function open(Record storage record, ILedger.Opened calldata opened, uint48 overdueAt) internal {
        record.client = opened.client;
        record.overdueAt = overdueAt;
        record.openedAt = uint48(block.timestamp);
        record.provider = opened.provider;
        record.deposit = opened.deposit;
        record.result = _digest(opened.payKeyX, opened.payKeyY) | uint8(ILedger.State.Locked);
    }

    function insert(Record storage record) internal {
        record.result = (record.result & ~uint256(0xff)) | uint8(ILedger.State.Inserted);
    }

    function close(Record storage record, uint96 paid, uint64 numSeconds, uint8 reason) internal {
        record.result = (uint256(uint64(block.timestamp)) << 176) | (uint256(reason) << 168)
            | (uint256(numSeconds) << 104) | (uint256(paid) << 8) | uint8(ILedger.State.Closed);
    }

    function state(Record storage record) internal view returns (ILedger.State) {
        return ILedger.State(record.result & 0xff);
    }

    /// @notice Whether the lease was locked with this payment key. False once it is closed.
    function isKey(Record storage record, uint256 x, uint256 y) internal view returns (bool) {
        return record.result & ~uint256(0xff) == _digest(x, y);
    }

    function view_(Record storage record) internal view returns (ILedger.Lease memory lease) {
        uint256 result = record.result;
        lease.client = record.client;
        lease.overdueAt = record.overdueAt;
        lease.openedAt = record.openedAt;
        lease.state = state(record);
        lease.provider = record.provider;
        lease.deposit = record.deposit;
        if (lease.state != ILedger.State.Closed) {
            lease.key = bytes32(result & ~uint256(0xff));
            return lease;
        }
        lease.paid = uint96(result >> 8);
        lease.numSeconds = uint64(result >> 104);
        lease.reason = uint8(result >> 168);
        lease.closedAt = uint64(result >> 176);
    }

    /// @dev keccak256 of the key, with room for the state in its last byte.
    function _digest(uint256 x, uint256 y) private pure returns (uint256) {
        return uint256(keccak256(abi.encodePacked(x, y))) & ~uint256(0xff);
    }
}
