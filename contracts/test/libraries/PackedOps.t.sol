// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../../src/interfaces/ILedger.sol";
import {CLOSE, INSERT, Op, PackedOps} from "../../src/libraries/PackedOps.sol";
import {vm} from "../support/Forge.sol";

contract PackedOpsTest {
    function read(bytes calldata ops, uint256 offset, uint256 least, uint256 size)
        external
        pure
        returns (Op memory op, uint256 next)
    {
        (op.payKeyX, op.payKeyY) = (77, 88); // left from an operation before
        next = PackedOps.read(op, ops, offset, least, size);
    }

    function pack(Op memory op) private pure returns (bytes memory text) {
        text = abi.encodePacked(uint8(op.slot), uint8(op.flags), uint8(op.reason), uint248(op.leaseId));
        text = abi.encodePacked(text, uint96(op.amount), uint64(op.numSeconds));
        if (op.flags & INSERT != 0) text = abi.encodePacked(text, op.payKeyX, op.payKeyY);
    }

    function refused(bytes memory ops, uint256 offset, uint256 least, uint256 size) private {
        vm.expectRevert(abi.encodeWithSelector(ILedger.BadOperations.selector, offset));
        this.read(ops, offset, least, size);
    }

    function plain() private pure returns (Op memory op) {
        (op.slot, op.flags, op.leaseId) = (5, CLOSE, 3);
    }

    function testFuzz_packed_operation_reads_as_it_was(Op memory op, bytes memory before, bytes memory behind)
        public
        view
    {
        op.slot &= 0xff;
        op.flags = op.flags % 7 + 1;
        op.reason = op.flags & CLOSE != 0 ? op.reason % 10 : 0;
        op.leaseId >>= 8;
        op.amount >>= 160;
        op.numSeconds >>= 192;
        if (op.flags & INSERT == 0) (op.payKeyX, op.payKeyY) = (0, 0);
        bytes memory text = pack(op);
        vm.assertEq(text.length, op.flags & INSERT != 0 ? 118 : 54);
        (Op memory found, uint256 next) =
            this.read(abi.encodePacked(before, text, behind), before.length, op.slot, 256);
        vm.assertEq(next, before.length + text.length);
        vm.assertEq(abi.encode(found), abi.encode(op));
    }

    function test_operations_cut_short_are_refused() public {
        bytes memory text = pack(plain());
        for (uint256 length = 0; length < 54; ++length) {
            refused(cut(text, length), 0, 0, 8);
        }
        Op memory op = plain();
        op.flags = INSERT;
        text = pack(op);
        for (uint256 length = 54; length < 118; ++length) {
            refused(cut(text, length), 0, 0, 8);
        }
        this.read(text, 0, 0, 8);
        refused(text, 118, 0, 8);
        refused(abi.encodePacked(text, text), 119, 0, 8);
    }

    function cut(bytes memory text, uint256 length) private pure returns (bytes memory short) {
        short = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            short[i] = text[i];
        }
    }

    function test_unknown_kinds_are_refused() public {
        Op memory op = plain();
        op.flags = 0;
        refused(pack(op), 0, 0, 8);
        for (uint256 flag = 8; flag < 256; flag *= 2) {
            op.flags = CLOSE | flag;
            refused(pack(op), 0, 0, 8);
        }
    }

    function test_reason_is_one_of_the_protocols_and_goes_with_a_close() public {
        Op memory op = plain();
        op.reason = 9;
        this.read(pack(op), 0, 0, 8);
        op.reason = 10;
        refused(pack(op), 0, 0, 8);
        (op.flags, op.reason) = (3, 1);
        refused(pack(op), 0, 0, 8);
        op.reason = 0;
        this.read(pack(op), 0, 0, 8);
    }

    function test_slots_ascend_and_lie_in_the_batch() public {
        bytes memory text = pack(plain());
        this.read(text, 0, 5, 6);
        refused(text, 0, 6, 8);
        refused(text, 0, 0, 5);
    }
}
