// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../src/interfaces/ILedger.sol";
import {Fixture} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";

/// @notice What others than the provider may settle: the way out of a silent provider's shard.
contract LedgerExitTest is Fixture {
    function endedBy(address by, uint256 leaseId) private {
        vm.prank(by);
        market.endLease(leaseId, 1);
    }

    function demandRefused(uint256 leaseId, bytes memory refusal) private {
        vm.expectRevert(refusal);
        ledger.demandClose(leaseId);
    }

    function test_client_closes_a_day_after_it_ended_and_not_before() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, one(opOf(leaseId, INSERT | CLAIM, 0, 10 * PRICE)));
        vm.warp(START + 100);
        endedBy(client, leaseId);
        ILedger.Op[] memory ops = one(opOf(leaseId, CLOSE, 10 * PRICE, 10 * PRICE));
        vm.warp(START + 100 + WINDOW - 1);
        settleRefused(
            client, ops, abi.encodeWithSelector(ILedger.NotAllowedYet.selector, leaseId, START + 100 + WINDOW)
        );
        vm.warp(START + 100 + WINDOW);
        settleAs(client, ops);
        vm.assertEq(ledger.balanceOf(client), 1 ether - 10 * PRICE);
        vm.assertEq(owedTo(provider), 10 * PRICE);
    }

    function test_lease_that_nobody_ended_is_closed_a_day_after_it_ran_out() public {
        uint256 leaseId = open(orderOf(1));
        ILedger.Op[] memory ops = one(opOf(leaseId, INSERT | CLOSE, 0, 0));
        uint256 from = START + MAX_SECONDS + WINDOW;
        vm.warp(from - 1);
        settleRefused(stranger, ops, abi.encodeWithSelector(ILedger.NotAllowedYet.selector, leaseId, from));
        vm.warp(from);
        settleAs(stranger, ops);
        vm.assertEq(ledger.balanceOf(client), 1 ether);
    }

    function test_exit_may_redeem_the_last_voucher() public {
        uint256 leaseId = open(orderOf(1));
        vm.warp(START + MAX_SECONDS + WINDOW);
        settleAs(client, one(opOf(leaseId, INSERT | CLAIM | CLOSE, 0, 10 * PRICE)));
        vm.assertEq(owedTo(provider), 10 * PRICE);
    }

    function test_others_never_claim_without_closing() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, one(opOf(leaseId, INSERT, 0, 0)));
        vm.warp(START + 365 days);
        settleRefused(
            client,
            one(opOf(leaseId, CLAIM, 0, PRICE)),
            abi.encodeWithSelector(ILedger.ProviderOnly.selector, leaseId)
        );
        vm.warp(START);
        uint256 second = open(orderOf(2));
        vm.warp(START + 365 days);
        settleRefused(
            client,
            one(opOf(second, INSERT | CLAIM, 0, PRICE)),
            abi.encodeWithSelector(ILedger.ProviderOnly.selector, second)
        );
    }

    function test_others_insert_only_what_waited_for_the_window() public {
        uint256 leaseId = open(orderOf(1));
        ILedger.Op[] memory ops = one(opOf(leaseId, INSERT, 0, 0));
        vm.warp(START + WINDOW - 1);
        settleRefused(
            stranger, ops, abi.encodeWithSelector(ILedger.NotAllowedYet.selector, leaseId, START + WINDOW)
        );
        vm.warp(START + WINDOW);
        settleAs(stranger, ops);
    }

    function test_one_operation_too_early_refuses_the_batch() public {
        uint256 a = open(orderOf(1));
        uint256 b = open(orderOf(2));
        endedBy(client, a);
        vm.warp(START + WINDOW);
        settleRefused(
            client,
            two(opOf(a, INSERT | CLOSE, 0, 0), opOf(b, INSERT | CLOSE, 0, 0)),
            abi.encodeWithSelector(ILedger.NotAllowedYet.selector, b, START + MAX_SECONDS + WINDOW)
        );
        settleAs(client, two(opOf(a, INSERT | CLOSE, 0, 0), opOf(b, INSERT, 0, 0)));
    }

    function test_deposits_ahead_in_the_queue_never_bar_an_exit() public {
        uint256 ahead = open(orderOf(1));
        vm.warp(START + 10);
        uint256 leaseId = open(orderOf(2));
        endedBy(client, leaseId);
        vm.warp(ledger.leaseOf(leaseId).overdueAt);
        settleAs(client, two(opOf(ahead, INSERT, 0, 0), opOf(leaseId, INSERT | CLOSE, 0, 0)));
        vm.assertTrue(ledger.leaseOf(leaseId).closed);
        vm.assertFalse(ledger.leaseOf(ahead).closed);
    }

    function test_close_is_demanded_only_when_overdue() public {
        uint256 leaseId = open(orderOf(1));
        demandRefused(99, abi.encodeWithSelector(ILedger.UnknownLease.selector, 99));
        uint256 from = START + MAX_SECONDS + WINDOW;
        demandRefused(leaseId, abi.encodeWithSelector(ILedger.NotAllowedYet.selector, leaseId, from));
        vm.warp(from);
        vm.expectEmit(address(ledger));
        emit ILedger.CloseDemanded(provider, leaseId);
        ledger.demandClose(leaseId);
        demandRefused(leaseId, abi.encodeWithSelector(ILedger.AlreadyDemanded.selector, leaseId));
        settleAs(provider, one(opOf(leaseId, INSERT | CLOSE, 0, 0)));
        demandRefused(leaseId, abi.encodeWithSelector(ILedger.LeaseClosed.selector, leaseId));
    }

    function test_provider_cannot_outrun_a_demanded_close() public {
        uint256 overdue = open(orderOf(1));
        uint256 other = open(orderOf(2));
        settleAs(provider, two(opOf(overdue, INSERT, 0, 0), opOf(other, INSERT, 0, 0)));
        vm.warp(START + MAX_SECONDS + WINDOW);
        ledger.demandClose(overdue);
        bytes memory refusal = abi.encodeWithSelector(ILedger.MustClose.selector, overdue);
        settleRefused(provider, one(opOf(other, CLAIM, 0, PRICE)), refusal);
        settleRefused(provider, one(opOf(overdue, CLAIM, 0, PRICE)), refusal);
        settleAs(client, one(opOf(overdue, CLOSE, 0, 0)));
        settleAs(provider, one(opOf(other, CLAIM, 0, PRICE)));
    }

    function test_demanded_close_may_come_among_other_operations() public {
        uint256 overdue = open(orderOf(1));
        uint256 other = open(orderOf(2));
        vm.warp(START + MAX_SECONDS + WINDOW);
        ledger.demandClose(overdue);
        settleAs(provider, two(opOf(overdue, INSERT | CLOSE, 0, 0), opOf(other, INSERT | CLAIM, 0, PRICE)));
        (,,,, uint256 demanded) = ledger.shardOf(provider);
        vm.assertEq(demanded, 0);
    }

    function test_demanded_lease_still_queued_lets_only_inserts_by() public {
        uint256 ahead = open(orderOf(1));
        uint256 overdue = open(orderOf(2));
        uint256 behind = open(orderOf(3));
        vm.warp(START + MAX_SECONDS + WINDOW);
        ledger.demandClose(overdue);
        bytes memory refusal = abi.encodeWithSelector(ILedger.MustClose.selector, overdue);
        settleRefused(provider, one(opOf(ahead, INSERT | CLAIM, 0, PRICE)), refusal);
        settleAs(client, one(opOf(ahead, INSERT, 0, 0)));
        settleAs(provider, one(opOf(overdue, INSERT, 0, 0)));
        settleRefused(provider, one(opOf(behind, INSERT, 0, 0)), refusal);
        settleAs(client, one(opOf(overdue, CLOSE, 0, 0)));
        settleAs(provider, one(opOf(behind, INSERT, 0, 0)));
    }
}
