// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Ledger} from "../src/Ledger.sol";
import {Verifier} from "../src/generated/Verifier.sol";
import {VerifyingKey} from "../src/generated/VerifyingKey.sol";
import {ILedger} from "../src/interfaces/ILedger.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {BatchWords, WORDS} from "../src/libraries/BatchWords.sol";
import {Fixture} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";

/// @notice The prover's batches of tests/vectors/ledger.json, settled with the generated verifier on the vectors' own
/// chain and ledger address: a full batch on the empty tree, then one with padding from where it led.
contract LedgerVectorsTest is Fixture {
    /// @dev Modulus of bn254's base field.
    uint256 private constant Q =
        21888242871839275222246405745257275088696311157297823662689037894645226208583;

    struct Batch {
        uint256 oldRoot;
        uint256 newRoot;
        uint256 c;
        ILedger.Op[] ops;
        uint256[8] proof;
    }

    string private _vectors;

    function setUp() public override {
        super.setUp();
        _vectors = vm.readFile("tests/vectors/ledger.json");
        vm.chainId(vm.parseJsonUint(_vectors, ".chain_id"));
        deploy(IVerifier(address(new Verifier())));
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

    function batchAt(uint256 batch) private view returns (Batch memory read) {
        read.oldRoot = vm.parseJsonUint(_vectors, at(batch, "old_root"));
        read.newRoot = vm.parseJsonUint(_vectors, at(batch, "new_root"));
        read.c = vm.parseJsonUint(_vectors, at(batch, "c"));
        uint256[] memory proof = vm.parseJsonUintArray(_vectors, at(batch, "proof"));
        for (uint256 i = 0; i < 8; ++i) {
            read.proof[i] = proof[i];
        }
        uint256 size;
        while (vm.keyExistsJson(_vectors, at(batch, size, "index"))) ++size;
        read.ops = new ILedger.Op[](size);
        for (uint256 i = 0; i < size; ++i) {
            read.ops[i] = readOp(batch, i);
        }
    }

    function readOp(uint256 batch, uint256 i) private view returns (ILedger.Op memory op) {
        op.leaseId = vm.parseJsonUint(_vectors, at(batch, i, "lease_id"));
        op.index = uint32(vm.parseJsonUint(_vectors, at(batch, i, "index")));
        op.deposit = uint96(vm.parseJsonUint(_vectors, at(batch, i, "deposit")));
        op.amount = uint96(vm.parseJsonUint(_vectors, at(batch, i, "amount")));
        op.numSeconds = uint64(vm.parseJsonUint(_vectors, at(batch, i, "seconds")));
        op.prevAmount = uint96(vm.parseJsonUint(_vectors, at(batch, i, "prev_amount")));
        if (vm.parseJsonBool(_vectors, at(batch, i, "claim"))) op.flags |= CLAIM;
        if (vm.parseJsonBool(_vectors, at(batch, i, "close"))) op.flags |= CLOSE;
        if (vm.parseJsonBool(_vectors, at(batch, i, "insert"))) {
            op.flags |= INSERT;
            op.payKeyX = vm.parseJsonUint(_vectors, at(batch, i, "x"));
            op.payKeyY = vm.parseJsonUint(_vectors, at(batch, i, "y"));
        }
    }

    /// @dev Locks what the first batch inserts, in its order.
    function lockAll() private {
        ILedger.Op[] memory ops = batchAt(0).ops;
        for (uint256 i = 0; i < ops.length; ++i) {
            ILedger.Op memory op = ops[i];
            if (op.flags & INSERT == 0) continue;
            vm.deal(client, op.deposit);
            vm.prank(client);
            ledger.deposit{value: op.deposit}();
            vm.prank(address(market));
            ledger.lock(op.leaseId, client, provider, op.deposit, op.payKeyX, op.payKeyY, MAX_SECONDS);
        }
    }

    function settle(Batch memory batch) private {
        vm.prank(provider);
        ledger.settle(provider, batch.oldRoot, batch.newRoot, batch.ops, batch.c, batch.proof);
    }

    function settleRefused(Batch memory batch) private {
        vm.prank(provider);
        vm.expectRevert(Verifier.ProofInvalid.selector);
        ledger.settle(provider, batch.oldRoot, batch.newRoot, batch.ops, batch.c, batch.proof);
    }

    function pack(Batch calldata batch) external view returns (uint256[WORDS] memory) {
        return BatchWords.pack(ledger.domain(), batch.oldRoot, batch.newRoot, batch.ops);
    }

    function test_key_domain_and_empty_root_are_the_provers() public view {
        vm.assertEq(VerifyingKey.HASH, vm.parseJsonBytes32(_vectors, ".vk_hash"));
        vm.assertEq(keccak256(vm.parseJsonBytes(_vectors, ".verifying_key")), VerifyingKey.HASH);
        vm.assertEq(VerifyingKey.EMPTY_ROOT, vm.parseJsonUint(_vectors, ".empty_root"));
        vm.assertEq(VerifyingKey.BATCH, vm.parseJsonUint(_vectors, ".batch"));
        vm.assertEq(ledger.domain(), vm.parseJsonUint(_vectors, ".domain"));
    }

    function test_words_and_public_inputs_are_the_provers() public view {
        for (uint256 i = 0; i < 2; ++i) {
            Batch memory batch = batchAt(i);
            uint256[WORDS] memory words = this.pack(batch);
            uint256[] memory golden = vm.parseJsonUintArray(_vectors, at(i, "words"));
            vm.assertEq(golden.length, WORDS);
            for (uint256 j = 0; j < WORDS; ++j) {
                vm.assertEq(words[j], golden[j]);
            }
            (uint256 r, uint256 e) = BatchWords.compress(words, batch.c);
            vm.assertEq(r, vm.parseJsonUint(_vectors, at(i, "r")));
            vm.assertEq(e, vm.parseJsonUint(_vectors, at(i, "e")));
        }
    }

    /// forge-config: default.isolate = true
    function test_proven_batches_settle_to_the_attofil() public {
        uint256 total = address(ledger).balance;
        uint256 earned;
        for (uint256 i = 0; i < 2; ++i) {
            Batch memory batch = batchAt(i);
            for (uint256 j = 0; j < batch.ops.length; ++j) {
                earned += batch.ops[j].amount - batch.ops[j].prevAmount;
            }
            settle(batch);
            vm.snapshotGasLastCall(
                "Ledger", i == 0 ? "settle: 6 inserts, 1 claim, 2 closes" : "settle: 1 claim, 2 closes"
            );
            vm.assertEq(rootOf(provider), batch.newRoot);
            vm.assertEq(owedTo(provider), earned);
        }
        vm.assertTrue(earned > 0);
        uint256 locked;
        ILedger.Op[] memory ops = batchAt(0).ops;
        for (uint256 i = 0; i < ops.length; ++i) {
            if (ops[i].flags & INSERT != 0 && !ledger.leaseOf(ops[i].leaseId).closed) {
                locked += ops[i].deposit;
            }
        }
        vm.assertEq(total, ledger.balanceOf(client) + owedTo(provider) + locked);
    }

    function test_replayed_batch_is_refused() public {
        Batch memory batch = batchAt(0);
        settle(batch);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(ILedger.StaleRoot.selector, batch.newRoot));
        ledger.settle(provider, batch.oldRoot, batch.newRoot, batch.ops, batch.c, batch.proof);
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
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(ILedger.StaleRoot.selector, batch.newRoot));
        ledger.settle(provider, batch.oldRoot, batch.newRoot, batch.ops, batch.c, batch.proof);
    }

    /// forge-config: default.fuzz.runs = 24
    function testFuzz_garbled_proof_is_refused(uint256 position, uint256 mask) public {
        Batch memory batch = batchAt(0);
        vm.assume(mask != 0);
        batch.proof[position % 8] ^= mask;
        settleRefused(batch);
    }

    function test_proof_of_another_batch_is_refused() public {
        Batch memory batch = batchAt(0);
        batch.proof = batchAt(1).proof;
        settleRefused(batch);
    }

    function test_batch_other_than_proven_is_refused() public {
        Batch memory batch = batchAt(0);
        batch.newRoot ^= 1;
        settleRefused(batch);
        batch = batchAt(0);
        batch.c ^= 1;
        settleRefused(batch);
        for (uint256 i = 0; i < batch.ops.length; ++i) {
            batch = batchAt(0);
            batch.ops[i].index ^= 1;
            settleRefused(batch);
            batch = batchAt(0);
            batch.ops[i].numSeconds += 1;
            settleRefused(batch);
            if (batch.ops[i].flags & CLAIM == 0) continue;
            batch = batchAt(0);
            batch.ops[i].amount += 1;
            settleRefused(batch);
        }
        batch = batchAt(0);
        batch.ops[4].flags |= CLOSE;
        settleRefused(batch);
    }

    function test_claim_above_the_deposit_by_lying_about_the_deposit_is_refused() public {
        Batch memory batch = batchAt(0);
        batch.ops[6].deposit = type(uint96).max; // a claim: its deposit stands only in the leaf
        batch.ops[6].amount = type(uint96).max;
        settleRefused(batch);
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
        Verifier verifier = Verifier(address(ledger.verifier()));
        Batch memory batch = batchAt(0);
        bytes memory proof = abi.encodePacked(batch.proof);
        uint256 r = vm.parseJsonUint(_vectors, at(0, "r"));
        uint256 e = vm.parseJsonUint(_vectors, at(0, "e"));
        verifier.verifyProof(proof, [batch.c, r, e]);
        vm.snapshotGasLastCall("Verifier", "verifyProof");
        uint256 p = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
        vm.expectRevert(Verifier.PublicInputNotInField.selector);
        verifier.verifyProof(proof, [batch.c + p, r, e]);
        vm.expectRevert(Verifier.PublicInputNotInField.selector);
        verifier.verifyProof(proof, [batch.c, r + p, e]);
        vm.expectRevert(Verifier.PublicInputNotInField.selector);
        verifier.verifyProof(proof, [batch.c, r, e + p]);
    }
}
