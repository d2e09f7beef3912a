// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";

import {Ledger} from "../src/Ledger.sol";
import {Market} from "../src/Market.sol";
import {VerifyingKey} from "../src/generated/VerifyingKey.sol";
import {ILedger} from "../src/interfaces/ILedger.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {BATCH, P} from "../src/libraries/BatchWords.sol";
import {Order} from "../src/libraries/Messages.sol";
import {Fixture, NoVerifier, YesVerifier} from "./support/Fixture.sol";
import {bound, vm} from "./support/Forge.sol";

/// @notice Tries to be paid twice by calling back while it is paid.
contract Reentrant {
    Ledger private immutable LEDGER;

    constructor(Ledger ledger) payable {
        LEDGER = ledger;
        ledger.deposit{value: msg.value}();
    }

    function run() external {
        LEDGER.withdraw(1 ether);
    }

    receive() external payable {
        LEDGER.withdraw(1 ether);
    }
}

contract LedgerTest is Fixture {
    // Balances

    function testFuzz_deposits_come_back_whole(uint96 amount) public {
        vm.deal(stranger, amount);
        vm.startPrank(stranger);
        ledger.deposit{value: amount}();
        vm.assertEq(ledger.balanceOf(stranger), amount);
        ledger.withdraw(amount);
        vm.assertEq(stranger.balance, amount);
        vm.expectRevert(abi.encodeWithSelector(ILedger.InsufficientBalance.selector, 0, 1));
        ledger.withdraw(1);
    }

    function test_deposit_for_another_credits_it() public {
        vm.deal(stranger, 5);
        vm.startPrank(stranger);
        vm.expectEmit(address(ledger));
        emit ILedger.Deposited(client, stranger, 5);
        ledger.depositFor{value: 5}(client);
        vm.assertEq(ledger.balanceOf(client), 1 ether + 5);
        vm.expectRevert(ILedger.ZeroAddress.selector);
        ledger.depositFor{value: 0}(address(0));
    }

    function test_money_sent_without_a_call_is_refused() public {
        vm.deal(stranger, 1);
        vm.prank(stranger);
        (bool taken,) = address(ledger).call{value: 1}("");
        vm.assertFalse(taken);
    }

    function test_reentrant_withdrawal_gets_nothing() public {
        Reentrant thief = new Reentrant{value: 1 ether}(ledger);
        vm.expectRevert();
        thief.run();
        vm.assertEq(address(thief).balance, 0);
        vm.assertEq(ledger.balanceOf(address(thief)), 1 ether);
    }

    // Locking

    function test_only_the_market_locks_and_records_ends() public {
        vm.startPrank(client);
        vm.expectRevert(ILedger.NotMarket.selector);
        ledger.lock(1, client, provider, 1, KEY_X, KEY_Y, 1);
        vm.expectRevert(ILedger.NotMarket.selector);
        ledger.recordEnd(1);
    }

    function test_locked_deposit_waits_in_the_queue() public {
        Order memory order = orderOf(1);
        uint256 leaseId = uint256(market.hashOrder(order)) >> 8;
        vm.expectEmit(address(ledger));
        emit ILedger.Locked(leaseId, client, provider, COLLATERAL, KEY_X, KEY_Y, 0);
        open(order);
        (uint256 root, uint64 head, uint64 tail, uint256 owed, uint256 demanded) = ledger.shardOf(provider);
        vm.assertEq(root, VerifyingKey.EMPTY_ROOT);
        vm.assertEq(head, 0);
        vm.assertEq(tail, 1);
        vm.assertEq(owed, 0);
        vm.assertEq(demanded, 0);
        vm.assertEq(ledger.queued(provider, 0), keccak256(abi.encode(leaseId, KEY_X, KEY_Y, COLLATERAL)));
    }

    function test_lease_locked_before_is_refused() public {
        uint256 leaseId = open(orderOf(1));
        vm.prank(address(market));
        vm.expectRevert(abi.encodeWithSelector(ILedger.LeaseExists.selector, leaseId));
        ledger.lock(leaseId, client, provider, 0, KEY_X, KEY_Y, 1);
    }

    function testFuzz_key_that_would_block_the_queue_is_refused(uint256 x, uint256 y) public {
        vm.startPrank(address(market));
        vm.expectRevert(ILedger.BadPayKey.selector);
        ledger.lock(1, client, provider, 0, x, y, 1);
        vm.expectRevert(ILedger.BadPayKey.selector);
        ledger.lock(1, client, provider, 0, KEY_X + P, KEY_Y, 1);
    }

    // Settling: money

    function test_life_of_a_lease_pays_provider_and_client() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, one(opOf(leaseId, INSERT, 0, 0)));
        settleAs(provider, one(opOf(leaseId, CLAIM, 0, 100 * PRICE)));
        vm.assertEq(owedTo(provider), 100 * PRICE);
        settleAs(provider, one(opOf(leaseId, CLAIM, 100 * PRICE, 250 * PRICE)));
        vm.assertEq(owedTo(provider), 250 * PRICE);
        vm.expectEmit(address(ledger));
        emit ILedger.Closed(leaseId, client, provider, 300 * PRICE, COLLATERAL - 300 * PRICE, 300);
        settleAs(provider, one(opOf(leaseId, CLAIM | CLOSE, 250 * PRICE, 300 * PRICE)));

        vm.assertEq(owedTo(provider), 300 * PRICE);
        vm.assertEq(ledger.balanceOf(client), 1 ether - 300 * PRICE);
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        vm.assertTrue(lease.closed);
        vm.assertEq(lease.paid, 300 * PRICE);
        vm.assertEq(lease.numSeconds, 300);
    }

    function testFuzz_money_is_neither_made_nor_lost(uint96 first, uint96 second) public {
        uint96 a = uint96(bound(first, 0, COLLATERAL));
        uint96 b = uint96(bound(second, a, COLLATERAL));
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, two(opOf(leaseId, INSERT, 0, 0), opOf(leaseId, CLAIM, 0, a)));
        settleAs(provider, one(opOf(leaseId, CLAIM | CLOSE, a, b)));
        vm.assertEq(owedTo(provider) + ledger.balanceOf(client), 1 ether);
        vm.assertEq(owedTo(provider), b);
        if (b > 0) {
            vm.prank(provider);
            ledger.collect();
        }
        vm.assertEq(provider.balance, b);
        vm.assertEq(address(ledger).balance, ledger.balanceOf(client));
    }

    function test_earnings_go_to_the_registered_payout_address() public {
        vm.prank(provider);
        registry.register(0, "http://sp", bytes32(0), bytes32(0), address(0x9A9));
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, one(opOf(leaseId, INSERT | CLAIM, 0, 7)));
        vm.prank(provider);
        vm.expectEmit(address(ledger));
        emit ILedger.Collected(provider, address(0x9A9), 7);
        vm.assertEq(ledger.collect(), 7);
        vm.assertEq(address(0x9A9).balance, 7);
        vm.prank(provider);
        vm.expectRevert(ILedger.NothingOwed.selector);
        ledger.collect();
    }

    function test_failed_payout_keeps_the_earnings() public {
        vm.prank(provider);
        registry.register(0, "http://sp", bytes32(0), bytes32(0), address(ledger)); // takes no plain money
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, one(opOf(leaseId, INSERT | CLAIM, 0, 7)));
        vm.prank(provider);
        vm.expectRevert(Errors.FailedCall.selector);
        ledger.collect();
        vm.assertEq(owedTo(provider), 7);
    }

    function test_events_tell_every_operation_in_order() public {
        uint256 a = open(orderOf(1));
        uint256 b = open(orderOf(2));
        ILedger.Op memory first = opOf(a, INSERT, 0, 0);
        ILedger.Op memory second = opOf(b, INSERT | CLAIM, 0, 20 * PRICE);
        second.index = 1;
        uint256 root = VerifyingKey.EMPTY_ROOT;
        vm.expectEmit(address(ledger));
        emit ILedger.Operation(provider, a, 0, INSERT, 0, 0);
        vm.expectEmit(address(ledger));
        emit ILedger.Operation(provider, b, 1, INSERT | CLAIM, 20 * PRICE, 20);
        vm.expectEmit(address(ledger));
        emit ILedger.Settled(provider, root, uint256(keccak256(abi.encode(root))) >> 8, 20 * PRICE);
        settleAs(provider, two(first, second));
    }

    // Settling: refusals

    function test_batch_without_a_valid_proof_is_refused() public {
        deploy(new NoVerifier());
        vm.prank(client);
        ledger.deposit{value: 1 ether}();
        uint256 leaseId = open(orderOf(1));
        settleRefused(
            provider,
            one(opOf(leaseId, INSERT, 0, 0)),
            abi.encodeWithSelector(NoVerifier.ProofInvalid.selector)
        );
        vm.assertEq(rootOf(provider), VerifyingKey.EMPTY_ROOT);
    }

    function test_batch_on_an_old_root_is_refused() public {
        uint256 a = open(orderOf(1));
        uint256 oldRoot = rootOf(provider);
        settleAs(provider, one(opOf(a, INSERT, 0, 0)));
        ILedger.Op[] memory ops = one(opOf(a, CLAIM, 0, 1));
        uint256[8] memory proof;
        uint256 current = rootOf(provider);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(ILedger.StaleRoot.selector, current));
        ledger.settle(provider, oldRoot, 5, ops, 1, proof);
    }

    function test_aliased_words_are_refused() public {
        ILedger.Op[] memory ops = one(opOf(open(orderOf(1)), INSERT, 0, 0));
        uint256 root = rootOf(provider);
        uint256[8] memory proof;
        vm.startPrank(provider);
        vm.expectRevert(abi.encodeWithSelector(ILedger.NotAWord.selector, P));
        ledger.settle(provider, root, P, ops, 1, proof);
        vm.expectRevert(abi.encodeWithSelector(ILedger.NotAWord.selector, P));
        ledger.settle(provider, root, 1, ops, P, proof);
    }

    function test_batch_has_one_to_eight_operations() public {
        settleRefused(provider, new ILedger.Op[](0), abi.encodeWithSelector(ILedger.BatchSize.selector, 0));
        ILedger.Op[] memory ops = new ILedger.Op[](BATCH);
        for (uint64 i = 0; i < BATCH; ++i) {
            ops[i] = opOf(open(orderOf(i)), INSERT, 0, 0);
        }
        settleAs(provider, ops);
        settleRefused(
            provider, new ILedger.Op[](BATCH + 1), abi.encodeWithSelector(ILedger.BatchSize.selector, 9)
        );
    }

    function test_inserts_follow_the_queue() public {
        uint256 a = open(orderOf(1));
        uint256 b = open(orderOf(2));
        settleRefused(
            provider, one(opOf(b, INSERT, 0, 0)), abi.encodeWithSelector(ILedger.QueueMismatch.selector, 0)
        );
        settleAs(provider, one(opOf(a, INSERT, 0, 0)));
        settleRefused(
            provider,
            two(opOf(b, INSERT, 0, 0), opOf(b, INSERT, 0, 0)),
            abi.encodeWithSelector(ILedger.QueueMismatch.selector, 1)
        );
        settleAs(provider, one(opOf(b, INSERT, 0, 0)));
        settleRefused(
            provider, one(opOf(a, INSERT, 0, 0)), abi.encodeWithSelector(ILedger.QueueMismatch.selector, 0)
        );
        vm.assertEq(ledger.queued(provider, 0), bytes32(0));
    }

    function test_insert_of_other_terms_than_locked_is_refused() public {
        uint256 leaseId = open(orderOf(1));
        bytes memory refusal = abi.encodeWithSelector(ILedger.QueueMismatch.selector, 0);
        ILedger.Op memory op = opOf(leaseId, INSERT, 0, 0);
        op.deposit += 1;
        settleRefused(provider, one(op), refusal);
        op = opOf(leaseId, INSERT, 0, 0);
        op.payKeyX = 1;
        settleRefused(provider, one(op), refusal);
        op = opOf(leaseId, INSERT, 0, 0);
        op.payKeyY = 1;
        settleRefused(provider, one(op), refusal);
    }

    function test_new_deposit_does_not_stale_a_batch() public {
        ILedger.Op[] memory ops = one(opOf(open(orderOf(1)), INSERT, 0, 0));
        uint256 root = rootOf(provider);
        open(orderOf(2));
        vm.assertEq(rootOf(provider), root);
        settleAs(provider, ops);
    }

    function test_closed_lease_takes_nothing_more() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, one(opOf(leaseId, INSERT | CLOSE, 0, 0)));
        bytes memory refusal = abi.encodeWithSelector(ILedger.LeaseClosed.selector, leaseId);
        settleRefused(provider, one(opOf(leaseId, CLAIM, 0, 1)), refusal);
        settleRefused(provider, one(opOf(leaseId, CLOSE, 0, 0)), refusal);
        settleRefused(provider, one(opOf(leaseId, INSERT, 0, 0)), refusal);
        uint256 other = open(orderOf(2));
        settleRefused(
            provider,
            two(opOf(other, INSERT | CLOSE, 0, 0), opOf(other, CLOSE, 0, 0)),
            abi.encodeWithSelector(ILedger.LeaseClosed.selector, other)
        );
    }

    function test_lease_of_another_provider_is_refused() public {
        uint256 leaseId = open(orderOf(1));
        ILedger.Op[] memory ops = one(opOf(leaseId, CLAIM, 0, 1));
        uint256 root = rootOf(stranger);
        uint256[8] memory proof;
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ILedger.NotProviderLease.selector, leaseId));
        ledger.settle(stranger, root, 1, ops, 1, proof);
        settleRefused(
            provider,
            one(opOf(99, CLAIM, 0, 0)),
            abi.encodeWithSelector(ILedger.NotProviderLease.selector, 99)
        );
    }

    function assertShapeRefused(ILedger.Op memory op) private {
        settleRefused(provider, one(op), abi.encodeWithSelector(ILedger.BadOperation.selector, 0));
    }

    function test_contradictory_operations_are_refused() public {
        uint256 leaseId = open(orderOf(1));
        ILedger.Op memory op = opOf(leaseId, INSERT, 0, 0);
        op.flags = 0;
        assertShapeRefused(op);
        op.flags = 8 | INSERT;
        assertShapeRefused(op);
        op.flags = INSERT;
        op.index = 1 << 20;
        assertShapeRefused(op);
        assertShapeRefused(opOf(leaseId, INSERT | CLAIM, 1, 2));
        assertShapeRefused(opOf(leaseId, CLAIM, 2, 1));
        assertShapeRefused(opOf(leaseId, CLOSE, 1, 2));
        assertShapeRefused(opOf(leaseId, CLAIM, 0, COLLATERAL + 1));
        op = opOf(leaseId, CLAIM, 0, 1);
        op.payKeyX = 1;
        assertShapeRefused(op);
        op.payKeyX = 0;
        op.payKeyY = 1;
        assertShapeRefused(op);
    }

    // What the proof is bound to

    function test_domain_binds_chain_contract_and_key() public {
        bytes32 digest =
            keccak256(abi.encode("shale.ledger.v1", block.chainid, address(ledger), VerifyingKey.HASH));
        vm.assertEq(ledger.domain(), uint256(digest) >> 8);
        vm.assertEq(ledger.verifyingKeyHash(), VerifyingKey.HASH);
        uint256 here = ledger.domain();
        vm.chainId(31415926);
        vm.assertFalse(ledger.domain() == here);
        vm.chainId(31337);
        deploy(new YesVerifier());
        vm.assertFalse(ledger.domain() == here);
    }

    function test_verifier_gets_proof_and_compressed_batch() public {
        uint256 leaseId = open(orderOf(1));
        ILedger.Op memory op = opOf(leaseId, INSERT, 0, 0);
        bytes memory text = abi.encodePacked(
            ledger.domain(),
            rootOf(provider),
            uint256(11),
            leaseId,
            uint256(1 << 32) | (uint256(COLLATERAL) << 104),
            uint256(0),
            KEY_X,
            KEY_Y
        );
        text = abi.encodePacked(text, new bytes(32 * 35), uint256(12));
        uint256 r = uint256(keccak256(text)) % P;
        uint256 e;
        for (uint256 i = 43; i > 0; --i) {
            uint256 word;
            assembly ("memory-safe") {
                word := mload(add(text, mul(i, 32)))
            }
            e = addmod(mulmod(e, r, P), word, P);
        }
        uint256[8] memory proof = [uint256(1), 2, 3, 4, 5, 6, 7, 8];
        uint256[3] memory inputs = [12, r, e];
        uint256 root = rootOf(provider);
        vm.expectCall(
            address(ledger.verifier()),
            abi.encodeCall(IVerifier.verifyProof, (abi.encodePacked(proof), inputs))
        );
        vm.prank(provider);
        ledger.settle(provider, root, 11, one(op), 12, proof);
    }

    function test_development_key_is_refused_on_mainnet() public {
        IVerifier verifier = new YesVerifier();
        vm.chainId(314);
        if (VerifyingKey.UNSAFE_DEVELOPMENT) vm.expectRevert(ILedger.UnsafeVerifyingKey.selector);
        new Market(registry, verifier);
        vm.chainId(314159);
        new Market(registry, verifier);
    }

    function test_addresses_without_code_are_refused() public {
        IVerifier verifier = new YesVerifier();
        vm.expectRevert(ILedger.ZeroAddress.selector);
        new Market(registry, IVerifier(stranger));
        vm.expectRevert(ILedger.ZeroAddress.selector);
        new Market(IRegistry(stranger), verifier);
    }
}
