// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {VerifyingKey} from "../../src/generated/VerifyingKey.sol";
import {ILedger} from "../../src/interfaces/ILedger.sol";
import {BATCH, BatchWords, P, WORDS} from "../../src/libraries/BatchWords.sol";
import {bound, vm} from "../support/Forge.sol";

contract BatchWordsTest {
    function test_words_are_those_of_the_verifying_keys_batch() public pure {
        vm.assertEq(BATCH, VerifyingKey.BATCH);
        vm.assertEq(WORDS, 43);
    }

    function pack(ILedger.Op[] calldata ops) external pure returns (uint256[WORDS] memory) {
        return BatchWords.pack(7, 8, 9, ops);
    }

    function testFuzz_words_follow_the_protocol(ILedger.Op memory op, uint256 position) public view {
        uint256 at = bound(position, 0, BATCH - 1);
        ILedger.Op[] memory ops = new ILedger.Op[](at + 1);
        ops[at] = op;
        uint256[WORDS] memory words = this.pack(ops);
        vm.assertEq(words[0], 7);
        vm.assertEq(words[1], 8);
        vm.assertEq(words[2], 9);
        for (uint256 i = 3; i < WORDS; ++i) {
            if (i < 3 + 5 * at || i >= 8 + 5 * at) vm.assertEq(words[i], 0);
        }
        vm.assertEq(words[3 + 5 * at], op.leaseId);
        vm.assertEq(
            words[4 + 5 * at],
            op.index + uint256(op.flags) * 2 ** 32 + uint256(op.numSeconds) * 2 ** 40 + uint256(op.deposit)
                * 2 ** 104
        );
        vm.assertEq(words[5 + 5 * at], op.amount + uint256(op.prevAmount) * 2 ** 96);
        vm.assertEq(words[6 + 5 * at], op.payKeyX);
        vm.assertEq(words[7 + 5 * at], op.payKeyY);
    }

    function testFuzz_e_is_the_polynomial_at_r(uint256[43] memory words, uint256 c) public pure {
        bytes memory text;
        for (uint256 i = 0; i < WORDS; ++i) {
            words[i] %= P;
            text = abi.encodePacked(text, words[i]);
        }
        (uint256 r, uint256 e) = BatchWords.compress(words, c);
        vm.assertEq(r, uint256(keccak256(abi.encodePacked(text, c))) % P);
        uint256 power = 1;
        uint256 sum;
        for (uint256 i = 0; i < WORDS; ++i) {
            sum = addmod(sum, mulmod(words[i], power, P), P);
            power = mulmod(power, r, P);
        }
        vm.assertEq(e, sum);
    }

    function compress(uint256[WORDS] calldata words) external pure returns (uint256 r, uint256 e) {
        return BatchWords.compress(words, 0);
    }

    function testFuzz_aliased_word_is_refused(uint256 position, uint256 excess) public {
        uint256[WORDS] memory words;
        uint256 value = bound(excess, P, type(uint256).max);
        words[bound(position, 0, WORDS - 1)] = value;
        vm.expectRevert(abi.encodeWithSelector(ILedger.NotAWord.selector, value));
        this.compress(words);
    }
}
