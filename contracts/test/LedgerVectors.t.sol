// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Ledger} from "../src/Ledger.sol";
import {Verifier1} from "../src/generated/Verifier1.sol";
import {Verifier256} from "../src/generated/Verifier256.sol";
import {Verifier64} from "../src/generated/Verifier64.sol";
import {Verifier8} from "../src/generated/Verifier8.sol";
import {VerifyingKey} from "../src/generated/VerifyingKey.sol";
import {ILedger} from "../src/interfaces/ILedger.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {BatchWords, P} from "../src/libraries/BatchWords.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../src/libraries/PackedOps.sol";
import {Fixture} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";

/// @notice The prover's batches of tests/vectors/ledger.json, settled one after the other with the generated verifiers on
/// the vectors' own chain and ledger address: batches of 1, 8, 8, 64 and 256 slots, from the empty tree on.
contract LedgerVectorsTest is Fixture {
    /// @dev Modulus of bn254's base field.
    uint256 private constant Q =
        21888242871839275222246405745257275088696311157297823662689037894645226208583;
    uint256 private constant BATCHES = 5;

    struct Batch {
        uint16 size;
        uint32 window;
        uint256 oldRoot;
        uint256 newRoot;
        uint256 earned;
        uint256 c;
        Op[] ops;
        uint256[8] proof;
    }

    string private _vectors;

    function setUp() public override {
        super.setUp();
        _vectors = vm.readFile("tests/vectors/ledger.json");
        vm.chainId(vm.parseJsonUint(_vectors, ".chain_id"));
        deploy(
            [
                IVerifier(address(new Verifier1())),
                IVerifier(address(new Verifier8())),
                IVerifier(address(new Verifier64())),
                IVerifier(address(new Verifier256()))
            ]
        );
        // Its code with its immutables at the address that the vectors' domain names.
        address there = vm.parseJsonAddress(_vectors, ".ledger");
        vm.etch(there, address(ledger).code);
        ledger = Ledger(there);
        lockAll();
    }

    function at(uint256 batch, string memory field) private pure returns (string memory) {
        return string.concat(".batches[", vm.toString(batch), "].", field);
    }

    function at(uint256 batch, uint256 op, string memory field) private pure returns (string memory) {
        return at(batch, string.concat("operations[", vm.toString(op), "].", field));
    }

    function number(uint256 batch, uint256 op, string memory field) private view returns (uint256) {
        return vm.parseJsonUint(_vectors, at(batch, op, field));
    }

    function batchAt(uint256 batch) private view returns (Batch memory read) {
        read.size = uint16(vm.parseJsonUint(_vectors, at(batch, "size")));
        read.window = uint32(vm.parseJsonUint(_vectors, at(batch, "window")));
        read.oldRoot = vm.parseJsonUint(_vectors, at(batch, "old_root"));
        read.newRoot = vm.parseJsonUint(_vectors, at(batch, "new_root"));
        read.earned = vm.parseJsonUint(_vectors, at(batch, "earned"));
        read.c = vm.parseJsonUint(_vectors, at(batch, "c"));
        uint256[] memory proof = vm.parseJsonUintArray(_vectors, at(batch, "proof"));
        for (uint256 i = 0; i < 8; ++i) {
            read.proof[i] = proof[i];
        }
        read.ops = new Op[](countOf(batch));
        for (uint256 i = 0; i < read.ops.length; ++i) {
            read.ops[i] = readOp(batch, i, uint256(read.window) * read.size);
        }
    }

    function countOf(uint256 batch) private view returns (uint256 count) {
        while (vm.keyExistsJson(_vectors, at(batch, count, "index"))) ++count;
    }

    function readOp(uint256 batch, uint256 i, uint256 first) private view returns (Op memory op) {
        op.slot = number(batch, i, "index") - first;
        op.leaseId = number(batch, i, "lease_id");
        op.amount = number(batch, i, "amount");
        op.numSeconds = number(batch, i, "seconds");
        if (vm.parseJsonBool(_vectors, at(batch, i, "claim"))) op.flags |= CLAIM;
        if (vm.parseJsonBool(_vectors, at(batch, i, "close"))) op.flags |= CLOSE;
        if (vm.parseJsonBool(_vectors, at(batch, i, "insert"))) {
            op.flags |= INSERT;
            op.payKeyX = number(batch, i, "x");
            op.payKeyY = number(batch, i, "y");
        }
    }

    /// @dev Opens all that the batches insert.
    function lockAll() private {
        for (uint256 batch = 0; batch < BATCHES; ++batch) {
            uint256 count = countOf(batch);
            for (uint256 i = 0; i < count; ++i) {
                Op memory op = readOp(batch, i, 0);
                if (op.flags & INSERT == 0) continue;
                ILedger.Opened[] memory opened = openedOf(op.leaseId, uint96(number(batch, i, "deposit")));
                (opened[0].payKeyX, opened[0].payKeyY) = (op.payKeyX, op.payKeyY);
                vm.deal(client, opened[0].deposit);
                vm.prank(client);
                ledger.deposit{value: opened[0].deposit}();
                vm.prank(address(market));
                ledger.lockMany(opened);
            }
        }
    }

    function settle(Batch memory batch) private {
        bytes memory ops = packed(batch.ops);
        vm.prank(provider);
        ledger.settle(
            provider,
            batch.window,
            batch.size,
            batch.oldRoot,
            batch.newRoot,
            batch.earned,
            ops,
            batch.c,
            batch.proof
        );
    }

    function settleRefused(Batch memory batch) private {
        settleRefused(batch, Verifier8.ProofInvalid.selector);
    }

    function settleRefused(Batch memory batch, bytes4 refusal) private {
        bytes memory ops = packed(batch.ops);
        vm.prank(provider);
        vm.expectPartialRevert(refusal);
        ledger.settle(
            provider,
            batch.window,
            batch.size,
            batch.oldRoot,
            batch.newRoot,
            batch.earned,
            ops,
            batch.c,
            batch.proof
        );
    }

    function wordsOf(Batch memory batch) private view returns (uint256[] memory words) {
        words = BatchWords.begin(
            batch.size, ledger.domain(), batch.oldRoot, batch.newRoot, batch.window, batch.earned, batch.c
        );
        for (uint256 i = 0; i < batch.ops.length; ++i) {
            BatchWords.put(words, batch.ops[i]);
        }
    }

    function test_keys_domain_and_empty_root_are_the_provers() public view {
        bytes32[4] memory hashes = VerifyingKey.HASHES();
        for (uint256 i = 0; i < 4; ++i) {
            string memory key = string.concat(".keys[", vm.toString(i), "].");
            vm.assertEq(vm.parseJsonUint(_vectors, string.concat(key, "size")), [1, 8, 64, 256][i]);
            vm.assertEq(hashes[i], vm.parseJsonBytes32(_vectors, string.concat(key, "vk_hash")));
            vm.assertEq(
                hashes[i], keccak256(vm.parseJsonBytes(_vectors, string.concat(key, "verifying_key")))
            );
        }
        vm.assertEq(ledger.verifyingKeysHash(), vm.parseJsonBytes32(_vectors, ".keys_hash"));
        bytes32 kind = keccak256(
            bytes(VerifyingKey.UNSAFE_DEVELOPMENT ? "shale.keys.unsafe-development" : "shale.keys.ceremony")
        );
        vm.assertEq(ledger.verifyingKeysHash(), keccak256(abi.encodePacked(kind, hashes)));
        vm.assertEq(VerifyingKey.EMPTY_ROOT, vm.parseJsonUint(_vectors, ".empty_root"));
        vm.assertEq(ledger.domain(), vm.parseJsonUint(_vectors, ".domain"));
    }

    function test_words_and_public_inputs_are_the_provers() public view {
        for (uint256 i = 0; i < BATCHES; ++i) {
            Batch memory batch = batchAt(i);
            uint256[] memory words = wordsOf(batch);
            uint256[] memory golden = vm.parseJsonUintArray(_vectors, at(i, "words"));
            vm.assertEq(words.length, golden.length + 1);
            for (uint256 j = 0; j < golden.length; ++j) {
                vm.assertEq(words[j], golden[j]);
            }
            (uint256 r, uint256 e) = BatchWords.compress(words);
            vm.assertEq(r, vm.parseJsonUint(_vectors, at(i, "r")));
            vm.assertEq(e, vm.parseJsonUint(_vectors, at(i, "e")));
        }
    }

    function test_proven_batches_settle_to_the_attofil() public {
        uint256 total = address(ledger).balance;
        uint256 earned;
        for (uint256 i = 0; i < BATCHES; ++i) {
            Batch memory batch = batchAt(i);
            earned += batch.earned;
            settle(batch);
            vm.assertEq(rootOf(provider), batch.newRoot);
            vm.assertEq(owedTo(provider), earned);
        }
        vm.assertTrue(earned > 0);
        vm.assertEq(total, ledger.balanceOf(client) + owedTo(provider) + ledger.heldOf(provider));
    }

    function test_replayed_batches_are_refused() public {
        settle(batchAt(0));
        settleRefused(batchAt(0), ILedger.StaleRoot.selector);
        settle(batchAt(1));
        settleRefused(batchAt(0), ILedger.StaleRoot.selector);
        settleRefused(batchAt(1), ILedger.StaleRoot.selector);
    }

    /// @dev Groth16 is malleable: (−A, −B, C) verifies too. It proves the same move of the root, once.
    function test_malleated_proof_moves_the_root_no_further() public {
        Batch memory batch = batchAt(0);
        Batch memory malleated = batchAt(0);
        malleated.proof[1] = Q - batch.proof[1];
        malleated.proof[4] = Q - batch.proof[4];
        malleated.proof[5] = Q - batch.proof[5];
        settle(malleated);
        vm.assertEq(rootOf(provider), batch.newRoot);
        settleRefused(batch, ILedger.StaleRoot.selector);
    }

    /// forge-config: default.fuzz.runs = 24
    function testFuzz_garbled_proof_is_refused(uint256 position, uint256 mask) public {
        settle(batchAt(0));
        Batch memory batch = batchAt(1);
        vm.assume(mask != 0);
        batch.proof[position % 8] ^= mask;
        settleRefused(batch);
    }

    function test_proof_of_another_batch_or_size_is_refused() public {
        Batch memory batch = batchAt(0);
        batch.proof = batchAt(1).proof;
        settleRefused(batch);
        batch = batchAt(0); // leaf 1: slot 1 of window 0 of eight
        (batch.size, batch.window, batch.ops[0].slot) = (8, 0, 1);
        settleRefused(batch);
    }

    function copy(Batch memory batch) private pure returns (Batch memory) {
        return abi.decode(abi.encode(batch), (Batch));
    }

    function test_batch_other_than_proven_is_refused() public {
        settle(batchAt(0));
        Batch memory proven = batchAt(1);
        Batch memory batch = copy(proven);
        batch.newRoot ^= 1;
        settleRefused(batch);
        batch = copy(proven);
        batch.c ^= 1;
        settleRefused(batch);
        batch = copy(proven);
        batch.window = 1;
        settleRefused(batch);
        batch = copy(proven);
        batch.earned += 1;
        settleRefused(batch);
        for (uint256 i = 0; i < proven.ops.length; ++i) {
            batch = copy(proven);
            batch.ops[i].numSeconds += 1;
            settleRefused(batch);
            batch = copy(proven);
            batch.ops[i].amount += 1;
            settleRefused(batch);
            batch = copy(proven);
            batch.ops[i].flags ^= CLOSE;
            settleRefused(batch);
            batch = copy(proven);
            batch.ops[i].flags ^= CLAIM;
            if (batch.ops[i].flags != 0) settleRefused(batch);
        }
        settle(proven);
        batch = batchAt(2);
        batch.ops[0].slot += 1;
        settleRefused(batch);
    }

    function test_reason_of_a_close_is_free() public {
        settle(batchAt(0));
        Batch memory batch = batchAt(1);
        batch.ops[5].reason = 7;
        settle(batch);
        vm.assertEq(ledger.leaseOf(batch.ops[5].leaseId).reason, 7);
    }

    function test_proof_for_another_chain_or_ledger_is_refused() public {
        Batch memory batch = batchAt(0);
        uint256 id = block.chainid;
        vm.chainId(314159);
        settleRefused(batch);
        vm.chainId(id);
        ledger = Ledger(address(market.ledger()));
        lockAll();
        settleRefused(batch);
    }

    function test_public_inputs_outside_the_field_are_refused() public {
        for (uint256 i = 0; i < BATCHES; ++i) {
            Batch memory batch = batchAt(i);
            IVerifier verifier = ledger.verifierOf(batch.size);
            bytes memory proof = abi.encodePacked(batch.proof);
            uint256 r = vm.parseJsonUint(_vectors, at(i, "r"));
            uint256 e = vm.parseJsonUint(_vectors, at(i, "e"));
            verifier.verifyProof(proof, [batch.c, r, e]);
            vm.expectRevert(Verifier8.PublicInputNotInField.selector);
            verifier.verifyProof(proof, [batch.c + P, r, e]);
            vm.expectRevert(Verifier8.PublicInputNotInField.selector);
            verifier.verifyProof(proof, [batch.c, r + P, e]);
            vm.expectRevert(Verifier8.PublicInputNotInField.selector);
            verifier.verifyProof(proof, [batch.c, r, e + P]);
        }
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_verification_and_of_a_proven_batch() public {
        Batch memory batch = batchAt(0);
        uint256[3] memory inputs =
            [batch.c, vm.parseJsonUint(_vectors, at(0, "r")), vm.parseJsonUint(_vectors, at(0, "e"))];
        ledger.verifierOf(1).verifyProof(abi.encodePacked(batch.proof), inputs);
        vm.snapshotGasLastCall("Verifier", "verifyProof");
        settle(batch);
        vm.snapshotGasLastCall("Ledger", "settle: 1 insert and claim, proven");
    }
}
