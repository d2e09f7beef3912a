// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../src/interfaces/ILedger.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../src/libraries/PackedOps.sol";
import {Fixture} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";

/// @notice What others than the provider may settle: the way out of a silent or hostile provider's shard.
contract LedgerExitTest is Fixture {
    uint256 private constant OVERDUE = START + MAX_SECONDS + WINDOW;

    function endedBy(address by, uint256 leaseId) private {
        vm.prank(by);
        market.endLease(leaseId, 1);
    }

    function inserted(uint64 nonce) private returns (uint256 leaseId) {
        leaseId = open(orderOf(nonce));
        settleAs(provider, 0, one(opOf(leaseId, INSERT, 0)));
    }

    function demandRefused(uint256 leaseId, bytes memory refusal) private {
        vm.expectRevert(refusal);
        ledger.demandClose(leaseId);
    }

    function isClosed(uint256 leaseId) private view returns (bool) {
        return ledger.leaseOf(leaseId).state == ILedger.State.Closed;
    }

    function test_client_closes_a_day_after_it_ended_and_not_before() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, 10 * PRICE, one(opOf(leaseId, INSERT | CLAIM, 10 * PRICE)));
        vm.warp(START + 100);
        endedBy(client, leaseId);
        Op[] memory ops = one(opOf(leaseId, CLOSE, 10 * PRICE));
        vm.warp(START + 100 + WINDOW - 1);
        settleRefused(
            client, ops, abi.encodeWithSelector(ILedger.NotAllowedYet.selector, leaseId, START + 100 + WINDOW)
        );
        vm.warp(START + 100 + WINDOW);
        settleAs(client, 0, ops);
        vm.assertEq(ledger.balanceOf(client), 1 ether - 10 * PRICE);
        vm.assertEq(owedTo(provider), 10 * PRICE);
    }

    function test_lease_that_nobody_ended_is_closed_a_day_after_it_ran_out() public {
        uint256 leaseId = open(orderOf(1));
        Op[] memory ops = one(opOf(leaseId, INSERT | CLOSE, 0));
        vm.warp(OVERDUE - 1);
        settleRefused(stranger, ops, abi.encodeWithSelector(ILedger.NotAllowedYet.selector, leaseId, OVERDUE));
        vm.warp(OVERDUE);
        settleAs(stranger, 0, ops);
        vm.assertEq(ledger.balanceOf(client), 1 ether);
    }

    function test_exit_may_redeem_the_last_voucher() public {
        uint256 leaseId = open(orderOf(1));
        vm.warp(OVERDUE);
        settleAs(client, 10 * PRICE, one(opOf(leaseId, INSERT | CLAIM | CLOSE, 10 * PRICE)));
        vm.assertEq(owedTo(provider), 10 * PRICE);
    }

    function test_others_never_claim_or_insert_without_closing() public {
        uint256 a = inserted(1);
        uint256 b = open(orderOf(2));
        vm.warp(START + 365 days);
        bytes memory refusal = abi.encodeWithSelector(ILedger.ProviderOnly.selector, a);
        settleRefused(client, one(opOf(a, CLAIM, PRICE)), refusal);
        refusal = abi.encodeWithSelector(ILedger.ProviderOnly.selector, b);
        settleRefused(client, one(opOf(b, INSERT, 0)), refusal);
        settleRefused(client, one(opOf(b, INSERT | CLAIM, PRICE)), refusal);
    }

    function test_one_operation_too_early_refuses_the_batch() public {
        uint256 a = open(orderOf(1));
        uint256 b = open(orderOf(2));
        endedBy(client, a);
        vm.warp(START + WINDOW);
        settleRefused(
            client,
            two(opOf(a, INSERT | CLOSE, 0), opOf(b, INSERT | CLOSE, 0)),
            abi.encodeWithSelector(ILedger.NotAllowedYet.selector, b, OVERDUE)
        );
        settleAs(client, 0, one(opOf(a, INSERT | CLOSE, 0)));
    }

    // Demands

    function test_close_is_demanded_only_of_an_overdue_lease_in_the_tree() public {
        uint256 leaseId = open(orderOf(1));
        demandRefused(99, abi.encodeWithSelector(ILedger.UnknownLease.selector, 99));
        demandRefused(
            leaseId, abi.encodeWithSelector(ILedger.WrongLeaseState.selector, leaseId, ILedger.State.Locked)
        );
        settleAs(provider, 0, one(opOf(leaseId, INSERT, 0)));
        vm.warp(OVERDUE - 1);
        demandRefused(leaseId, abi.encodeWithSelector(ILedger.NotAllowedYet.selector, leaseId, OVERDUE));
        vm.warp(OVERDUE);
        vm.assertEq(ledger.demandedRootOf(leaseId), 0);
        vm.expectEmit(address(ledger));
        emit ILedger.CloseDemanded(provider, leaseId);
        vm.prank(stranger);
        ledger.demandClose(leaseId);
        vm.assertEq(ledger.demandedRootOf(leaseId), rootOf(provider));
        vm.assertEq(demandedOf(provider), leaseId);
        demandRefused(leaseId, abi.encodeWithSelector(ILedger.AlreadyDemanded.selector, leaseId));
        settleAs(provider, 0, one(opOf(leaseId, CLOSE, 0)));
        demandRefused(leaseId, abi.encodeWithSelector(ILedger.LeaseClosed.selector, leaseId));
        vm.assertEq(demandedOf(provider), 0);
    }

    function test_provider_cannot_outrun_a_demanded_close() public {
        uint256 overdue = inserted(1);
        vm.warp(OVERDUE);
        uint256 other = openLate(2);
        settleAs(provider, 0, one(opOf(other, INSERT, 0)));
        ledger.demandClose(overdue);
        bytes memory refusal = abi.encodeWithSelector(ILedger.MustClose.selector, overdue);
        settleRefused(provider, one(opOf(other, CLAIM, PRICE)), refusal);
        settleAs(client, 0, one(opOf(overdue, CLOSE, 0)));
        settleAs(provider, PRICE, one(opOf(other, CLAIM, PRICE)));
    }

    function openLate(uint64 nonce) private returns (uint256 leaseId) {
        leaseId = nonce;
        vm.prank(address(market));
        ledger.lockMany(openedOf(leaseId, COLLATERAL));
    }

    function test_demanded_close_may_come_among_other_operations() public {
        uint256 overdue = inserted(1);
        vm.warp(OVERDUE);
        uint256 other = openLate(2);
        ledger.demandClose(overdue);
        settleAs(provider, PRICE, two(opOf(other, INSERT | CLAIM, PRICE), opOf(overdue, CLOSE, 0)));
        vm.assertEq(demandedOf(provider), 0);
    }

    function test_exit_starts_from_the_root_of_its_demand_wherever_the_shard_has_gone() public {
        uint256 first = inserted(1);
        uint256 second = inserted(2);
        vm.warp(OVERDUE);
        ledger.demandClose(first);
        uint256 old = rootOf(provider);
        ledger.demandClose(second); // the shard owes the first one its close; the second has its root
        vm.assertEq(demandedOf(provider), first);
        uint256 other = openLate(3);
        settleAs(provider, 0, two(opOf(first, CLOSE, 0), opOf(other, INSERT, 0)));
        uint256 current = rootOf(provider);
        vm.assertFalse(current == old);

        vm.expectEmit(address(ledger));
        emit ILedger.Exited(provider, second, old, 0);
        settleFrom(client, old, 4, packed(one(opOf(second, CLAIM | CLOSE, 4))));
        vm.assertTrue(isClosed(second));
        vm.assertEq(rootOf(provider), current);
        vm.assertEq(owedTo(provider), 4);
        vm.assertEq(ledger.balanceOf(client), 1 ether - 4 - COLLATERAL);
        settleAs(provider, 0, one(opOf(other, CLOSE, 0)));
    }

    function test_exit_from_the_demanded_root_meets_the_demand() public {
        uint256 leaseId = inserted(1);
        uint256 other = open(orderOf(2));
        vm.warp(OVERDUE);
        ledger.demandClose(leaseId);
        uint256 old = rootOf(provider);
        settleAs(stranger, 0, one(opOf(other, INSERT | CLOSE, 0)));
        vm.assertEq(demandedOf(provider), leaseId);
        settleFrom(client, old, 0, packed(one(opOf(leaseId, CLOSE, 0))));
        vm.assertEq(demandedOf(provider), 0);
        vm.assertEq(rootOf(provider), nextRoot(old));
        settleAs(provider, 1, one(opOf(openLate(3), INSERT | CLAIM, 1)));
    }

    /// @dev A provider with overdue leases of its own cannot put them before a client's.
    function test_exit_waits_for_no_other_demand() public {
        uint256 puppet = inserted(1);
        uint256 leaseId = inserted(2);
        vm.warp(OVERDUE);
        ledger.demandClose(puppet);
        settleAs(client, 0, one(opOf(leaseId, CLOSE, 0)));
        vm.assertTrue(isClosed(leaseId));
        vm.assertEq(demandedOf(provider), puppet);
    }

    function test_exit_from_an_old_root_is_for_demanded_leases_at_their_roots_alone() public {
        uint256 a = inserted(1);
        uint256 b = inserted(2);
        uint256 c = inserted(3);
        uint256 d = open(orderOf(4));
        uint256 e = open(orderOf(5));
        vm.warp(OVERDUE);
        ledger.demandClose(a);
        uint256 first = rootOf(provider);
        settleAs(client, 0, one(opOf(d, INSERT | CLOSE, 0)));
        ledger.demandClose(b);
        uint256 second = rootOf(provider);
        settleAs(client, 0, one(opOf(e, INSERT | CLOSE, 0)));
        bytes memory refusal = abi.encodeWithSelector(ILedger.StaleRoot.selector, rootOf(provider));
        settleRefused(client, second, 0, packed(one(opOf(a, CLOSE, 0))), refusal);
        settleRefused(client, first, 0, packed(one(opOf(b, CLOSE, 0))), refusal);
        settleRefused(client, first, 0, packed(one(opOf(c, CLOSE, 0))), refusal);
        settleRefused(client, 0, 0, packed(one(opOf(c, CLOSE, 0))), refusal);
        settleRefused(client, first, 0, packed(two(opOf(a, CLOSE, 0), opOf(b, CLOSE, 0))), refusal);
        refusal = abi.encodeWithSelector(ILedger.OverdueMustClose.selector, a);
        settleRefused(provider, first, 0, packed(one(opOf(a, CLAIM, 0))), refusal);
        settleFrom(client, second, 0, packed(one(opOf(b, CLOSE, 0))));
        settleFrom(provider, first, 0, packed(one(opOf(a, CLOSE, 0))));
        refusal = abi.encodeWithSelector(ILedger.LeaseClosed.selector, a);
        settleRefused(client, first, 0, packed(one(opOf(a, CLOSE, 0))), refusal);
    }
}
