// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {VerifyingKey} from "../src/generated/VerifyingKey.sol";
import {ILedger} from "../src/interfaces/ILedger.sol";
import {P} from "../src/libraries/BatchWords.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../src/libraries/PackedOps.sol";
import {Fixture, NoVerifier} from "./support/Fixture.sol";
import {bound, vm} from "./support/Forge.sol";

/// @notice What a provider settles, and what is refused to it.
contract LedgerSettleTest is Fixture {
    function test_life_of_a_lease_pays_provider_and_client() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, 0, one(opOf(leaseId, INSERT, 0)));
        vm.assertEq(uint256(ledger.leaseOf(leaseId).state), uint256(ILedger.State.Inserted));
        vm.assertEq(ledger.leaseOf(leaseId).key, (keccak256(abi.encode(KEY_X, KEY_Y)) >> 8) << 8);
        settleAs(provider, 100 * PRICE, one(opOf(leaseId, CLAIM, 100 * PRICE)));
        settleAs(provider, 150 * PRICE, one(opOf(leaseId, CLAIM, 250 * PRICE)));
        vm.assertEq(owedTo(provider), 250 * PRICE);
        vm.assertEq(ledger.heldOf(provider), COLLATERAL - 250 * PRICE);
        Op memory last = opOf(leaseId, CLAIM | CLOSE, 300 * PRICE);
        last.reason = 6;
        vm.warp(START + 77);
        vm.expectEmit(address(ledger));
        emit ILedger.Closed(leaseId, client, provider, 300 * PRICE, COLLATERAL - 300 * PRICE, 300, 6);
        settleAs(provider, 50 * PRICE, one(last));

        vm.assertEq(owedTo(provider), 300 * PRICE);
        vm.assertEq(ledger.heldOf(provider), 0);
        vm.assertEq(ledger.balanceOf(client), 1 ether - 300 * PRICE);
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        vm.assertEq(uint256(lease.state), uint256(ILedger.State.Closed));
        vm.assertEq(lease.client, client);
        vm.assertEq(lease.provider, provider);
        vm.assertEq(lease.deposit, COLLATERAL);
        vm.assertEq(lease.key, bytes32(0));
        vm.assertEq(lease.paid, 300 * PRICE);
        vm.assertEq(lease.numSeconds, 300);
        vm.assertEq(lease.reason, 6);
        vm.assertEq(lease.closedAt, START + 77);
    }

    function test_lease_settled_once_at_its_end_never_stands_in_the_tree() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, 9 * PRICE, one(opOf(leaseId, INSERT | CLAIM | CLOSE, 9 * PRICE)));
        vm.assertEq(owedTo(provider), 9 * PRICE);
        vm.assertEq(ledger.balanceOf(client), 1 ether - 9 * PRICE);
    }

    function testFuzz_result_of_a_close_is_kept_whole(uint96 amount, uint64 numSeconds, uint8 reason) public {
        Op memory op = opOf(open(orderOf(1)), INSERT | CLAIM | CLOSE, uint96(bound(amount, 0, COLLATERAL)));
        op.numSeconds = numSeconds;
        op.reason = reason % 10;
        settleAs(provider, op.amount, one(op));
        ILedger.Lease memory lease = ledger.leaseOf(op.leaseId);
        vm.assertEq(lease.paid, op.amount);
        vm.assertEq(lease.numSeconds, numSeconds);
        vm.assertEq(lease.reason, reason % 10);
        vm.assertEq(lease.closedAt, START);
    }

    function testFuzz_money_is_neither_made_nor_lost(uint96 first, uint96 second) public {
        uint96 a = uint96(bound(first, 0, COLLATERAL));
        uint96 b = uint96(bound(second, a, COLLATERAL));
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, a, one(opOf(leaseId, INSERT | CLAIM, a)));
        settleAs(provider, b - a, one(opOf(leaseId, CLAIM | CLOSE, b)));
        vm.assertEq(owedTo(provider) + ledger.balanceOf(client), 1 ether);
        vm.assertEq(owedTo(provider), b);
        if (b > 0) {
            vm.prank(provider);
            ledger.collect();
        }
        vm.assertEq(provider.balance, b);
        vm.assertEq(address(ledger).balance, ledger.balanceOf(client));
    }

    function test_events_tell_every_operation_in_order() public {
        uint256 a = open(orderOf(1));
        uint256 b = open(orderOf(2));
        Op memory first = opOf(a, INSERT, 0);
        first.slot = 1;
        Op memory second = opOf(b, INSERT | CLAIM, 20 * PRICE);
        uint256 root = rootOf(provider);
        bytes memory ops = packed(two(first, second));
        uint256[8] memory proof;
        vm.expectEmit(address(ledger));
        emit ILedger.Operation(provider, a, 64 * 5 + 1, uint8(INSERT), 0, 0);
        vm.expectEmit(address(ledger));
        emit ILedger.Operation(provider, b, 64 * 5 + 2, uint8(INSERT | CLAIM), 20 * PRICE, 20);
        vm.expectEmit(address(ledger));
        emit ILedger.Settled(provider, root, 11, 5, 64, 20 * PRICE);
        vm.prank(provider);
        ledger.settle(provider, 5, 64, root, 11, 20 * PRICE, ops, 1, proof);
        vm.assertEq(rootOf(provider), 11);
    }

    function test_shards_of_providers_are_apart() public {
        settleAs(provider, PRICE, one(opOf(open(orderOf(1)), INSERT | CLAIM, PRICE)));
        (uint256 root, uint256 owed,) = ledger.shardOf(stranger);
        vm.assertEq(root, VerifyingKey.EMPTY_ROOT);
        vm.assertEq(owed, 0);
        vm.assertEq(ledger.heldOf(stranger), 0);
    }

    // Refusals

    function test_batch_without_a_valid_proof_is_refused() public {
        deploy(new NoVerifier());
        vm.prank(client);
        ledger.deposit{value: 1 ether}();
        uint256 leaseId = open(orderOf(1));
        settleRefused(
            provider, one(opOf(leaseId, INSERT, 0)), abi.encodeWithSelector(NoVerifier.ProofInvalid.selector)
        );
        vm.assertEq(rootOf(provider), VerifyingKey.EMPTY_ROOT);
    }

    function test_batch_on_an_old_root_is_refused() public {
        uint256 leaseId = open(orderOf(1));
        uint256 old = rootOf(provider);
        settleAs(provider, 0, one(opOf(leaseId, INSERT, 0)));
        bytes memory refusal = abi.encodeWithSelector(ILedger.StaleRoot.selector, rootOf(provider));
        settleRefused(provider, old, 1, packed(one(opOf(leaseId, CLAIM, 1))), refusal);
        settleRefused(provider, old, 0, packed(one(opOf(leaseId, INSERT, 0))), refusal);
        settleRefused(provider, 0, 0, packed(one(opOf(leaseId, CLOSE, 0))), refusal);
    }

    function test_aliased_words_are_refused() public {
        bytes memory ops = packed(one(opOf(open(orderOf(1)), INSERT, 0)));
        uint256 root = rootOf(provider);
        uint256[8] memory proof;
        vm.startPrank(provider);
        vm.expectRevert(abi.encodeWithSelector(ILedger.NotAWord.selector, P));
        ledger.settle(provider, 0, 8, root, P, 0, ops, 1, proof);
        vm.expectRevert(abi.encodeWithSelector(ILedger.NotAWord.selector, P));
        ledger.settle(provider, 0, 8, root, 1, 0, ops, P, proof);
        vm.expectRevert(abi.encodeWithSelector(ILedger.NotAWord.selector, 1 << 104));
        ledger.settle(provider, 0, 8, root, 1, 1 << 104, ops, 1, proof);
    }

    function test_aliased_key_is_refused_even_if_locked() public {
        ILedger.Opened[] memory opened = openedOf(1, 5);
        opened[0].payKeyX = KEY_X + P;
        vm.prank(address(market));
        ledger.lockMany(opened);
        Op memory op = opOf(1, INSERT, 0);
        op.payKeyX = KEY_X + P;
        settleRefused(provider, one(op), abi.encodeWithSelector(ILedger.NotAWord.selector, KEY_X + P));
    }

    function test_window_lies_in_the_tree() public {
        bytes memory ops = packed(one(opOf(open(orderOf(1)), INSERT, 0)));
        uint256 root = rootOf(provider);
        uint256[8] memory proof;
        uint16[4] memory sizes = [1, 8, 64, 256];
        vm.startPrank(provider);
        for (uint256 i = 0; i < 4; ++i) {
            uint32 beyond = uint32((1 << 20) / sizes[i]);
            vm.expectRevert(abi.encodeWithSelector(ILedger.BadWindow.selector, beyond));
            ledger.settle(provider, beyond, sizes[i], root, 1, 0, ops, 1, proof);
        }
        vm.expectRevert(abi.encodeWithSelector(ILedger.BatchSize.selector, 0));
        ledger.settle(provider, 0, 0, root, 1, 0, ops, 1, proof);
        ledger.settle(provider, (1 << 17) - 1, 8, root, 1, 0, ops, 1, proof);
    }

    function test_insert_of_another_key_than_locked_is_refused() public {
        uint256 leaseId = open(orderOf(1));
        bytes memory refusal = abi.encodeWithSelector(ILedger.WrongPayKey.selector, leaseId);
        Op memory op = opOf(leaseId, INSERT, 0);
        op.payKeyX = 1;
        settleRefused(provider, one(op), refusal);
        op = opOf(leaseId, INSERT, 0);
        op.payKeyY = 1;
        settleRefused(provider, one(op), refusal);
    }

    function test_lease_is_inserted_once_and_before_all_else() public {
        uint256 leaseId = open(orderOf(1));
        bytes memory locked =
            abi.encodeWithSelector(ILedger.WrongLeaseState.selector, leaseId, ILedger.State.Locked);
        settleRefused(provider, one(opOf(leaseId, CLAIM, 1)), locked);
        settleRefused(provider, one(opOf(leaseId, CLOSE, 0)), locked);
        settleAs(provider, 0, one(opOf(leaseId, INSERT, 0)));
        bytes memory inserted =
            abi.encodeWithSelector(ILedger.WrongLeaseState.selector, leaseId, ILedger.State.Inserted);
        settleRefused(provider, one(opOf(leaseId, INSERT, 0)), inserted);
        settleRefused(provider, one(opOf(leaseId, INSERT | CLAIM | CLOSE, 0)), inserted);
    }

    function test_lease_is_inserted_once_in_a_batch() public {
        uint256 leaseId = open(orderOf(1));
        settleRefused(
            provider,
            two(opOf(leaseId, INSERT, 0), opOf(leaseId, INSERT, 0)),
            abi.encodeWithSelector(ILedger.WrongLeaseState.selector, leaseId, ILedger.State.Inserted)
        );
    }

    function test_claim_above_the_deposit_is_refused() public {
        uint256 leaseId = open(orderOf(1));
        settleRefused(
            provider,
            one(opOf(leaseId, INSERT | CLAIM, COLLATERAL + 1)),
            abi.encodeWithSelector(ILedger.AboveDeposit.selector, leaseId, COLLATERAL + 1)
        );
        settleAs(provider, COLLATERAL, one(opOf(leaseId, INSERT | CLAIM, COLLATERAL)));
    }

    function test_new_lease_does_not_stale_a_batch() public {
        Op[] memory ops = one(opOf(open(orderOf(1)), INSERT, 0));
        uint256 root = rootOf(provider);
        open(orderOf(2));
        vm.assertEq(rootOf(provider), root);
        settleAs(provider, 0, ops);
    }

    function test_closed_lease_takes_nothing_more() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, 0, one(opOf(leaseId, INSERT | CLOSE, 0)));
        bytes memory refusal = abi.encodeWithSelector(ILedger.LeaseClosed.selector, leaseId);
        settleRefused(provider, one(opOf(leaseId, CLAIM, 1)), refusal);
        settleRefused(provider, one(opOf(leaseId, CLOSE, 0)), refusal);
        settleRefused(provider, one(opOf(leaseId, INSERT, 0)), refusal);
        uint256 other = open(orderOf(2));
        settleRefused(
            provider,
            two(opOf(other, INSERT | CLOSE, 0), opOf(other, CLOSE, 0)),
            abi.encodeWithSelector(ILedger.LeaseClosed.selector, other)
        );
    }

    function test_lease_of_another_provider_is_refused() public {
        uint256 leaseId = open(orderOf(1));
        bytes memory ops = packed(one(opOf(leaseId, INSERT, 0)));
        uint256 root = rootOf(stranger);
        uint256[8] memory proof;
        vm.startPrank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ILedger.NotProviderLease.selector, leaseId));
        ledger.settle(stranger, 0, 8, root, 1, 0, ops, 1, proof);
        vm.expectRevert(abi.encodeWithSelector(ILedger.NotProviderLease.selector, leaseId));
        ledger.settle(address(0), 0, 8, root, 1, 0, ops, 1, proof);
        vm.stopPrank();
        settleRefused(
            provider, one(opOf(99, INSERT, 0)), abi.encodeWithSelector(ILedger.NotProviderLease.selector, 99)
        );
    }

    function test_nobodys_shard_takes_no_unknown_lease() public {
        bytes memory ops = packed(one(opOf(99, INSERT, 0)));
        uint256[8] memory proof;
        vm.prank(address(0));
        vm.expectRevert(abi.encodeWithSelector(ILedger.UnknownLease.selector, 99));
        ledger.settle(address(0), 0, 8, VerifyingKey.EMPTY_ROOT, 1, 0, ops, 1, proof);
    }

    /// @dev Not even a forged proof takes money from another provider's leases.
    function test_forged_batch_takes_no_more_than_the_providers_leases_hold() public {
        uint256 leaseId = open(orderOf(1));
        orderOfAnother();
        bytes memory ops = packed(one(opOf(leaseId, INSERT | CLAIM | CLOSE, 10)));
        settleRefused(
            provider,
            rootOf(provider),
            11,
            ops,
            abi.encodeWithSelector(
                ILedger.ShardOverdrawn.selector, provider, COLLATERAL, uint256(COLLATERAL) + 1
            )
        );
        settleFrom(provider, rootOf(provider), 10, ops);
    }

    /// @dev Money of another provider's lease lies in the ledger too.
    function orderOfAnother() private {
        ILedger.Opened[] memory opened = openedOf(7, COLLATERAL);
        opened[0].provider = stranger;
        vm.prank(address(market));
        ledger.lockMany(opened);
    }

    function test_overdue_lease_can_only_be_closed_even_by_its_provider() public {
        uint256 a = open(orderOf(1));
        uint256 b = open(orderOf(2));
        settleAs(provider, 0, one(opOf(a, INSERT, 0)));
        vm.warp(START + MAX_SECONDS + WINDOW);
        bytes memory refusal = abi.encodeWithSelector(ILedger.OverdueMustClose.selector, a);
        settleRefused(provider, one(opOf(a, CLAIM, 1)), refusal);
        refusal = abi.encodeWithSelector(ILedger.OverdueMustClose.selector, b);
        settleRefused(provider, one(opOf(b, INSERT, 0)), refusal);
        settleRefused(provider, one(opOf(b, INSERT | CLAIM, 1)), refusal);
        settleAs(provider, 3, two(opOf(a, CLAIM | CLOSE, 1), opOf(b, INSERT | CLAIM | CLOSE, 2)));
    }

    function test_one_second_before_it_is_overdue_a_lease_takes_a_claim() public {
        uint256 leaseId = open(orderOf(1));
        vm.warp(START + MAX_SECONDS + WINDOW - 1);
        settleAs(provider, 1, one(opOf(leaseId, INSERT | CLAIM, 1)));
    }
}
