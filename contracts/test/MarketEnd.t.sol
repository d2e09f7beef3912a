// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {IMarket} from "../src/interfaces/IMarket.sol";
import {End} from "../src/libraries/Messages.sol";
import {vm} from "./support/Forge.sol";
import {MarketFixture} from "./support/MarketFixture.sol";

/// @notice Ends of leases, direct and signed.
contract MarketEndTest is MarketFixture {
    function test_either_side_ends_a_lease() public {
        uint256 a = open(orderOf(10));
        uint256 b = open(orderOf(11));
        vm.warp(START + 60);
        vm.prank(client);
        vm.expectEmit(address(market));
        emit IMarket.LeaseEnded(a, client, 1, 0, 0, START + 60);
        market.endLease(a, 1);
        vm.prank(provider);
        market.endLease(b, 2);
        IMarket.Lease memory lease = market.leaseOf(a);
        vm.assertEq(uint256(lease.state), uint256(IMarket.State.Ended));
        vm.assertEq(lease.endedAt, START + 60);
        vm.assertEq(lease.reason, 1);
        vm.assertEq(market.leaseOf(b).reason, 2);
        vm.assertEq(ledger.leaseOf(a).overdueAt, START + 60 + WINDOW);
    }

    function test_end_after_the_lease_ran_out_does_not_extend_the_window() public {
        uint256 leaseId = openSigned();
        uint256 overdueAt = ledger.leaseOf(leaseId).overdueAt;
        vm.warp(overdueAt + 1 days);
        vm.prank(provider);
        market.endLease(leaseId, 5);
        vm.assertEq(ledger.leaseOf(leaseId).overdueAt, overdueAt);
    }

    function test_strangers_end_nothing_and_no_lease_ends_twice() public {
        uint256 leaseId = openSigned();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotParty.selector, stranger));
        market.endLease(leaseId, 1);
        vm.startPrank(client);
        market.endLease(leaseId, 1);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Ended));
        market.endLease(leaseId, 1);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, 99, IMarket.State.None));
        market.endLease(99, 1);
    }

    function test_lease_of_nobody_is_not_ended_by_the_zero_address() public {
        vm.prank(address(0));
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, 99, IMarket.State.None));
        market.endLease(99, 1);
    }

    function test_order_that_is_not_open_cannot_be_ended() public {
        vm.startPrank(client);
        uint256 leaseId = market.createOrder(order);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Created));
        market.endLease(leaseId, 1);
        market.cancelOrder(order);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Cancelled));
        market.endLease(leaseId, 1);
    }

    function testFuzz_end_reason_is_one_of_the_protocols(uint8 reason) public {
        uint256 leaseId = openSigned();
        bool known = reason >= 1 && reason <= 9;
        vm.prank(client);
        if (!known) vm.expectRevert(abi.encodeWithSelector(IMarket.BadReason.selector, reason));
        market.endLease(leaseId, reason);
        vm.assertEq(market.leaseOf(leaseId).reason, known ? reason : 0);
    }

    function test_first_and_last_end_reason_are_taken_and_their_neighbours_refused() public {
        uint256 first = open(orderOf(10));
        uint256 last = open(orderOf(11));
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.BadReason.selector, 0));
        market.endLease(first, 0);
        vm.expectRevert(abi.encodeWithSelector(IMarket.BadReason.selector, 10));
        market.endLease(last, 10);
        market.endLease(first, 1);
        market.endLease(last, 9);
    }

    function test_signed_end_of_either_side_is_recorded_at_the_blocks_time() public {
        uint256 a = open(orderOf(10));
        uint256 b = open(orderOf(11));
        End memory byClient = endOf(a, orderOf(10), 6);
        End memory byProvider = endOf(b, orderOf(11), 2);
        byClient.at = 1; // backdated, to no avail
        bytes memory clientSignature = signed(CLIENT_SECRET, hasher.hash(byClient));
        bytes memory providerSignature = signed(PROVIDER_SECRET, hasher.hash(byProvider));
        vm.warp(START + 30);
        vm.startPrank(stranger);
        vm.expectEmit(address(market));
        emit IMarket.LeaseEnded(a, client, 6, 5 * PRICE, 5, 1);
        market.endLeaseSigned(byClient, client, clientSignature);
        market.endLeaseSigned(byProvider, provider, providerSignature);
        vm.assertEq(market.leaseOf(a).endedAt, START + 30);
        vm.assertEq(ledger.leaseOf(a).overdueAt, START + 30 + WINDOW);
        vm.assertEq(market.leaseOf(b).reason, 2);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, a, IMarket.State.Ended));
        market.endLeaseSigned(byClient, client, clientSignature);
    }

    function test_end_signed_by_another_is_refused() public {
        uint256 leaseId = openSigned();
        End memory end = endOf(leaseId, order, 1);
        bytes memory signature = signed(0x57A6E2, hasher.hash(end));
        vm.expectRevert(abi.encodeWithSelector(IMarket.BadSignature.selector, client));
        market.endLeaseSigned(end, client, signature);
        address other = vm.addr(0x57A6E2);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotParty.selector, other));
        market.endLeaseSigned(end, other, signature);
    }
}
