// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {VerifyingKey} from "../src/generated/VerifyingKey.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {P} from "../src/libraries/BatchWords.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../src/libraries/PackedOps.sol";
import {Fixture, YesVerifier} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";

/// @notice What a proof is bound to, and how large a batch's transaction is.
contract LedgerProofTest is Fixture {
    function test_domain_binds_chain_contract_and_keys() public {
        bytes32 digest =
            keccak256(abi.encode("shale.ledger.v2", block.chainid, address(ledger), VerifyingKey.KEYS_HASH));
        vm.assertEq(ledger.domain(), uint256(digest) >> 8);
        vm.assertEq(ledger.verifyingKeysHash(), VerifyingKey.KEYS_HASH);
        uint256 here = ledger.domain();
        vm.chainId(31415926);
        vm.assertFalse(ledger.domain() == here);
        vm.chainId(31337);
        deploy(new YesVerifier());
        vm.assertFalse(ledger.domain() == here);
    }

    /// @dev The verifier of that size and no other gets the proof, and the compression of just these words.
    function expectInputs(uint16 size, bytes memory words, uint256 c, uint256[8] memory proof) private {
        vm.assertEq(words.length, 32 * (4 + 4 * uint256(size)));
        uint256 r = uint256(keccak256(abi.encodePacked(words, c))) % P;
        uint256 e;
        for (uint256 i = words.length; i > 0; i -= 32) {
            uint256 word;
            assembly ("memory-safe") {
                word := mload(add(words, i))
            }
            e = addmod(mulmod(e, r, P), word, P);
        }
        uint256[3] memory inputs = [c, r, e];
        vm.expectCall(
            address(ledger.verifierOf(size)),
            abi.encodeCall(IVerifier.verifyProof, (abi.encodePacked(proof), inputs))
        );
    }

    function test_verifier_gets_proof_and_compressed_batch() public {
        IVerifier[4] memory verifiers;
        for (uint256 i = 0; i < 4; ++i) {
            verifiers[i] = new YesVerifier();
        }
        deploy(verifiers);
        vm.prank(client);
        ledger.deposit{value: 1 ether}();
        Op memory first = opOf(open(orderOf(1)), INSERT | CLAIM, 20 * PRICE);
        Op memory second = opOf(open(orderOf(2)), INSERT | CLAIM | CLOSE, 7 * PRICE);
        (first.slot, second.reason) = (2, 9);
        bytes memory words = abi.encodePacked(
            ledger.domain(), rootOf(provider), uint256(11), 3 + 27 * uint256(PRICE) * 2 ** 32
        );
        words = abi.encodePacked(words, new bytes(2 * 4 * 32));
        words = abi.encodePacked(
            words, first.leaseId + 3 * 2 ** 248, 20 * uint256(PRICE) + 20 * 2 ** 96, KEY_X, KEY_Y
        );
        words = abi.encodePacked(
            words, second.leaseId + 7 * 2 ** 248, 7 * uint256(PRICE) + 7 * 2 ** 96, KEY_X, KEY_Y
        );
        words = abi.encodePacked(words, new bytes(4 * 4 * 32));
        uint256[8] memory proof = [uint256(1), 2, 3, 4, 5, 6, 7, 8];
        uint256 root = rootOf(provider);
        bytes memory ops = packed(two(first, second));
        expectInputs(8, words, 12, proof);
        vm.prank(provider);
        ledger.settle(provider, 3, 8, root, 11, 27 * PRICE, ops, 12, proof);
    }

    function test_batch_of_one_has_eight_words() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, 0, one(opOf(leaseId, INSERT, 0)));
        uint256 root = rootOf(provider);
        bytes memory words = abi.encodePacked(
            ledger.domain(), root, uint256(11), uint256((1 << 20) - 1), leaseId + 4 * 2 ** 248
        );
        words = abi.encodePacked(words, new bytes(3 * 32));
        uint256[8] memory proof;
        bytes memory ops = packed(one(opOf(leaseId, CLOSE, 0)));
        expectInputs(1, words, 0, proof);
        vm.prank(provider);
        ledger.settle(provider, (1 << 20) - 1, 1, root, 11, 0, ops, 0, proof);
    }

    /// @dev Filecoin's mempool takes messages of at most 64 KiB.
    function test_batch_of_256_inserts_fits_a_message_and_settles() public {
        vm.prank(client);
        ledger.deposit{value: 10 ether}();
        Op[] memory ops = new Op[](256);
        for (uint64 i = 0; i < 256; ++i) {
            ops[i] = opOf(open(orderOf(i)), INSERT | CLAIM | CLOSE, PRICE);
            ops[i].slot = i;
        }
        uint256 root = rootOf(provider);
        uint256[8] memory proof;
        bytes memory text = abi.encodeCall(
            ledger.settle, (provider, 4095, 256, root, root, 256 * PRICE, packed(ops), 1, proof)
        );
        vm.assertTrue(text.length < 64 << 10);
        vm.prank(provider);
        (bool taken,) = address(ledger).call(text);
        vm.assertTrue(taken);
        vm.assertEq(owedTo(provider), 256 * uint256(PRICE));
        vm.assertEq(ledger.balanceOf(client), 11 ether - 256 * uint256(PRICE));
        vm.assertEq(ledger.heldOf(provider), 0);
    }
}
