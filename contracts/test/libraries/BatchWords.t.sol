// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../../src/interfaces/ILedger.sol";
import {BatchWords, P} from "../../src/libraries/BatchWords.sol";
import {Op} from "../../src/libraries/PackedOps.sol";
import {bound, vm} from "../support/Forge.sol";

contract BatchWordsTest {
    /// @dev A batch's words with c behind them, an operation in one slot.
    function words(uint256 size, Op memory op) private pure returns (uint256[] memory laid) {
        laid = BatchWords.begin(size, 7, 8, 9, 10, 11, 12);
        BatchWords.put(laid, op);
    }

    function testFuzz_words_follow_the_protocol(Op memory op, uint8 choice) public pure {
        uint256 size = [uint256(1), 8, 64, 256][choice % 4];
        op.slot = op.slot % size;
        op.leaseId >>= 8;
        op.flags &= 7;
        op.amount >>= 160;
        op.numSeconds >>= 192;
        uint256[] memory laid = words(size, op);
        vm.assertEq(laid.length, 4 + 4 * size + 1);
        vm.assertEq(laid[0], 7);
        vm.assertEq(laid[1], 8);
        vm.assertEq(laid[2], 9);
        vm.assertEq(laid[3], 10 + 11 * 2 ** 32);
        vm.assertEq(laid[4 + 4 * size], 12);
        for (uint256 i = 0; i < size; ++i) {
            bool touched = i == op.slot;
            vm.assertEq(laid[4 + 4 * i], touched ? op.leaseId + op.flags * 2 ** 248 : 0);
            vm.assertEq(laid[5 + 4 * i], touched ? op.amount + op.numSeconds * 2 ** 96 : 0);
            vm.assertEq(laid[6 + 4 * i], touched ? op.payKeyX : 0);
            vm.assertEq(laid[7 + 4 * i], touched ? op.payKeyY : 0);
        }
    }

    function testFuzz_e_is_the_polynomial_at_r(uint256[21] memory some) public pure {
        uint256[] memory laid = new uint256[](21);
        bytes memory text;
        for (uint256 i = 0; i < 21; ++i) {
            laid[i] = some[i] % P;
            text = abi.encodePacked(text, laid[i]);
        }
        (uint256 r, uint256 e) = BatchWords.compress(laid);
        vm.assertEq(r, uint256(keccak256(text)) % P);
        uint256 power = 1;
        uint256 sum;
        for (uint256 i = 0; i < 20; ++i) {
            sum = addmod(sum, mulmod(laid[i], power, P), P);
            power = mulmod(power, r, P);
        }
        vm.assertEq(e, sum);
    }

    function compress(uint256[] memory laid) external pure returns (uint256 r, uint256 e) {
        return BatchWords.compress(laid);
    }

    /// @dev Everywhere, c at the end among them; the least alias and the greatest too.
    function testFuzz_aliased_word_is_refused(uint256 position, uint256 excess) public {
        uint256[] memory laid = new uint256[](21);
        uint256[3] memory values = [P, type(uint256).max, bound(excess, P, type(uint256).max)];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 at = [0, 20, position % 21][i];
            uint256 kept = laid[at];
            laid[at] = values[i];
            vm.expectRevert(abi.encodeWithSelector(ILedger.NotAWord.selector, values[i]));
            this.compress(laid);
            laid[at] = kept;
        }
    }

    function test_greatest_word_is_taken() public view {
        uint256[] memory laid = new uint256[](9);
        for (uint256 i = 0; i < 9; ++i) {
            laid[i] = P - 1;
        }
        this.compress(laid);
    }
}
