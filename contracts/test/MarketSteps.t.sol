// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../src/interfaces/ILedger.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {vm} from "./support/Forge.sol";
import {MarketFixture} from "./support/MarketFixture.sol";

/// @notice Order, acceptance and confirmation as transactions, and taking an order back.
contract MarketStepsTest is MarketFixture {
    function test_order_acceptance_confirmation_make_a_lease() public {
        vm.prank(client);
        uint256 leaseId = market.createOrder(order);
        vm.assertEq(leaseId, idOf(order));
        vm.prank(provider);
        vm.expectEmit(address(market));
        emit IMarket.OrderAccepted(leaseId, acceptance.hostKey, acceptance.deadline);
        market.acceptOrder(order, acceptance);
        vm.prank(client);
        vm.expectEmit(address(market));
        emit IMarket.LeaseOpened(leaseId, client, provider, acceptance.order, COLLATERAL);
        market.confirmOrder(order, acceptance);

        vm.assertEq(stateOf(leaseId), uint256(IMarket.State.Open));
        ILedger.Lease memory account = ledger.leaseOf(leaseId);
        vm.assertEq(account.client, client);
        vm.assertEq(account.provider, provider);
        vm.assertEq(account.deposit, COLLATERAL);
        vm.assertEq(account.overdueAt, START + MAX_SECONDS + WINDOW);
        vm.assertEq(ledger.balanceOf(client), 1 ether - COLLATERAL);
    }

    function test_confirmation_tops_up_before_it_locks() public {
        vm.startPrank(client);
        ledger.withdraw(1 ether);
        market.createOrder(order);
        vm.stopPrank();
        vm.prank(provider);
        market.acceptOrder(order, acceptance);
        vm.prank(client);
        market.confirmOrder{value: COLLATERAL + 5}(order, acceptance);
        vm.assertEq(ledger.balanceOf(client), 5);
        vm.assertEq(address(market).balance, 0);
    }

    function test_confirmation_without_money_is_refused() public {
        vm.startPrank(client);
        ledger.withdraw(1 ether);
        market.createOrder(order);
        vm.stopPrank();
        vm.prank(provider);
        market.acceptOrder(order, acceptance);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(ILedger.InsufficientBalance.selector, 7, COLLATERAL));
        market.confirmOrder{value: 7}(order, acceptance);
    }

    function test_steps_are_refused_out_of_order() public {
        uint256 leaseId = idOf(order);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.None));
        market.acceptOrder(order, acceptance);
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.None));
        market.confirmOrder(order, acceptance);
        market.createOrder(order);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NonceUsed.selector, client, 1));
        market.createOrder(order);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Created));
        market.confirmOrder(order, acceptance);
        vm.stopPrank();
        vm.startPrank(provider);
        market.acceptOrder(order, acceptance);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Accepted));
        market.acceptOrder(order, acceptance);
        vm.stopPrank();
        vm.startPrank(client);
        market.confirmOrder(order, acceptance);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Open));
        market.confirmOrder(order, acceptance);
        vm.stopPrank();
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Open));
        market.acceptOrder(order, acceptance);
    }

    function test_steps_are_refused_to_others() public {
        vm.startPrank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotClient.selector, stranger));
        market.createOrder(order);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotProvider.selector, stranger));
        market.acceptOrder(order, acceptance);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotClient.selector, stranger));
        market.confirmOrder(order, acceptance);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotClient.selector, stranger));
        market.cancelOrder(order);
    }

    function test_acceptance_of_another_order_is_refused() public {
        vm.prank(client);
        market.createOrder(order);
        acceptance.order = keccak256("another");
        vm.prank(provider);
        vm.expectRevert(IMarket.OrderMismatch.selector);
        market.acceptOrder(order, acceptance);
    }

    function test_confirmation_of_an_acceptance_not_given_is_refused() public {
        vm.prank(client);
        market.createOrder(order);
        vm.prank(provider);
        market.acceptOrder(order, acceptance);
        acceptance.hostKey = keccak256("another host");
        vm.prank(client);
        vm.expectRevert(IMarket.AcceptanceMismatch.selector);
        market.confirmOrder(order, acceptance);
    }

    function test_steps_are_refused_after_their_deadlines() public {
        vm.prank(client);
        market.createOrder(order);
        vm.warp(order.deadline + 1);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, order.deadline));
        market.acceptOrder(order, acceptance);
        vm.warp(order.deadline);
        acceptance.deadline = START;
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, START));
        market.acceptOrder(order, acceptance);
        acceptance.deadline = order.deadline;
        vm.prank(provider);
        market.acceptOrder(order, acceptance);
        vm.warp(order.deadline + 1);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, order.deadline));
        market.confirmOrder(order, acceptance);
        order.nonce = 2;
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, order.deadline));
        market.createOrder(order);
    }

    function test_acceptance_of_an_expired_order_is_refused_though_it_has_time_itself() public {
        vm.prank(client);
        market.createOrder(order);
        acceptance.deadline = order.deadline + 1 hours;
        vm.warp(order.deadline + 1);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, order.deadline));
        market.acceptOrder(order, acceptance);
    }

    function assertTermsRefused(bytes memory refusal) private {
        vm.prank(order.client);
        vm.expectRevert(refusal);
        market.createOrder(order);
    }

    function test_order_without_parties_is_refused() public {
        order.provider = address(0);
        assertTermsRefused(abi.encodeWithSelector(IMarket.ZeroAddress.selector));
        order = orderOf(1);
        order.client = address(0);
        assertTermsRefused(abi.encodeWithSelector(IMarket.ZeroAddress.selector));
    }

    function testFuzz_duration_is_bounded(uint64 maxSeconds) public {
        vm.assume(maxSeconds == 0 || maxSeconds > 10 * 365 days);
        order.maxSeconds = maxSeconds;
        assertTermsRefused(abi.encodeWithSelector(IMarket.BadDuration.selector, maxSeconds));
    }

    function test_largest_amount_is_taken_as_collateral() public {
        (order.price, order.maxSeconds) = (type(uint96).max / 3, 3);
        vm.prank(client);
        market.createOrder(order);
    }

    function test_collateral_above_an_amounts_range_is_refused() public {
        order.price = type(uint96).max / 2 + 1;
        order.maxSeconds = 2;
        assertTermsRefused(
            abi.encodeWithSelector(IMarket.WrongCollateral.selector, type(uint96).max, 1 << 96)
        );
    }

    // Cancelling

    function test_cancelled_order_cannot_be_accepted() public {
        vm.startPrank(client);
        uint256 leaseId = market.createOrder(order);
        market.cancelOrder(order);
        vm.stopPrank();
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Cancelled));
        market.acceptOrder(order, acceptance);
    }

    function test_accepted_order_can_be_cancelled_until_confirmed() public {
        vm.prank(client);
        uint256 leaseId = market.createOrder(order);
        vm.prank(provider);
        market.acceptOrder(order, acceptance);
        vm.startPrank(client);
        market.cancelOrder(order);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Cancelled));
        market.confirmOrder(order, acceptance);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Cancelled));
        market.cancelOrder(order);
    }

    function test_order_signed_off_chain_can_be_cancelled_and_its_nonce_is_burnt() public {
        vm.prank(client);
        market.cancelOrder(order);
        openRefused(abi.encodeWithSelector(IMarket.NonceUsed.selector, client, 1));
        vm.assertTrue(market.isNonceUsed(client, 1));
    }

    function test_open_lease_cannot_be_cancelled() public {
        uint256 leaseId = openSigned();
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Open));
        market.cancelOrder(order);
    }

    function test_ended_lease_cannot_be_cancelled() public {
        uint256 leaseId = openSigned();
        vm.startPrank(client);
        market.endLease(leaseId, 1);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Ended));
        market.cancelOrder(order);
    }

    function test_cancelling_is_told() public {
        uint256 leaseId = idOf(order);
        vm.expectEmit(address(market));
        emit IMarket.OrderCreated(leaseId, client, provider, order);
        vm.startPrank(client);
        market.createOrder(order);
        vm.expectEmit(address(market));
        emit IMarket.OrderCancelled(leaseId);
        market.cancelOrder(order);
        vm.assertEq(stateOf(leaseId), uint256(IMarket.State.Cancelled));
    }

    function test_published_order_is_not_opened_by_signatures_too() public {
        vm.prank(client);
        market.createOrder(order);
        openRefused(abi.encodeWithSelector(IMarket.NonceUsed.selector, client, 1));
    }

    function test_market_keeps_nothing_of_an_open_lease() public {
        vm.prank(client);
        uint256 leaseId = market.createOrder(order);
        vm.prank(provider);
        market.acceptOrder(order, acceptance);
        bytes32 slot = keccak256(abi.encode(leaseId, uint256(2)));
        vm.assertTrue(vm.load(address(market), slot) != 0);
        vm.prank(client);
        market.confirmOrder(order, acceptance);
        vm.assertTrue(vm.load(address(market), slot) == 0);
    }
}
