// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../src/interfaces/ILedger.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {CLAIM, CLOSE, INSERT} from "../src/libraries/PackedOps.sol";
import {bound, vm} from "./support/Forge.sol";
import {MarketFixture} from "./support/MarketFixture.sol";

/// @notice Extensions of open leases.
contract MarketTopUpTest is MarketFixture {
    uint64 private constant TEN_YEARS = 10 * 365 days;
    uint256 private leaseId;

    function setUp() public override {
        super.setUp();
        leaseId = openSigned();
        vm.deal(stranger, 1 ether);
    }

    function topUpRefused(address sender, uint64 extraSeconds, bytes memory refusal) private {
        vm.prank(sender);
        vm.expectRevert(refusal);
        market.topUp(order, extraSeconds);
    }

    function test_client_extends_from_its_balance() public {
        vm.expectEmit(address(market));
        emit IMarket.ToppedUp(leaseId, client, 100 * PRICE, 100);
        vm.expectEmit(address(ledger));
        emit ILedger.DepositRaised(leaseId, COLLATERAL + 100 * PRICE, START + MAX_SECONDS + 100 + WINDOW);
        vm.prank(client);
        market.topUp(order, 100);
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        vm.assertEq(lease.deposit, COLLATERAL + 100 * PRICE);
        vm.assertEq(lease.overdueAt, START + MAX_SECONDS + 100 + WINDOW);
        vm.assertEq(ledger.balanceOf(client), 1 ether - COLLATERAL - 100 * PRICE);
        vm.assertEq(ledger.heldOf(provider), COLLATERAL + 100 * PRICE);
    }

    function test_anyone_extends_by_paying() public {
        vm.prank(stranger);
        market.topUp{value: 100 * PRICE}(order, 100);
        vm.assertEq(ledger.leaseOf(leaseId).deposit, COLLATERAL + 100 * PRICE);
        vm.assertEq(ledger.balanceOf(client), 1 ether - COLLATERAL);
        vm.assertEq(address(ledger).balance, 1 ether + 100 * uint256(PRICE));
        vm.assertEq(address(market).balance, 0);
    }

    function test_nobody_else_spends_the_clients_balance() public {
        topUpRefused(stranger, 100, abi.encodeWithSelector(IMarket.NotClient.selector, stranger));
        topUpRefused(provider, 100, abi.encodeWithSelector(IMarket.NotClient.selector, provider));
    }

    function testFuzz_value_is_exactly_the_price(uint96 value) public {
        vm.assume(value != 0 && value != 100 * PRICE);
        vm.deal(stranger, value);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongValue.selector, 100 * PRICE, value));
        market.topUp{value: value}(order, 100);
    }

    function test_balance_must_suffice() public {
        vm.prank(client);
        ledger.withdraw(1 ether - COLLATERAL);
        topUpRefused(
            client, 100, abi.encodeWithSelector(ILedger.InsufficientBalance.selector, 0, 100 * PRICE)
        );
    }

    function test_extension_has_a_length_and_bounds_the_whole_term() public {
        topUpRefused(client, 0, abi.encodeWithSelector(IMarket.BadDuration.selector, 0));
        topUpRefused(
            client, TEN_YEARS + 1, abi.encodeWithSelector(IMarket.BadDuration.selector, TEN_YEARS + 1)
        );
        uint64 most = TEN_YEARS - MAX_SECONDS;
        vm.prank(client);
        ledger.deposit{value: 2 ether}();
        topUpRefused(
            client, most + 1, abi.encodeWithSelector(ILedger.TermTooLong.selector, uint256(TEN_YEARS) + 1)
        );
        vm.prank(client);
        market.topUp(order, most);
        topUpRefused(client, 1, abi.encodeWithSelector(ILedger.TermTooLong.selector, uint256(TEN_YEARS) + 1));
    }

    function test_whole_term_of_a_free_lease_is_bounded_too() public {
        order = orderOf(2);
        order.price = 0;
        rebind();
        leaseId = openSigned();
        vm.startPrank(client);
        market.topUp(order, TEN_YEARS - MAX_SECONDS);
        vm.expectRevert(abi.encodeWithSelector(ILedger.TermTooLong.selector, uint256(TEN_YEARS) + 1));
        market.topUp(order, 1);
        vm.stopPrank();
        topUpRefused(stranger, 1, abi.encodeWithSelector(IMarket.NotClient.selector, stranger));
    }

    function test_deposit_stays_an_amount() public {
        order = orderOf(2);
        order.price = type(uint96).max / 2;
        order.maxSeconds = 1;
        rebind();
        vm.deal(client, type(uint128).max);
        vm.prank(client);
        ledger.deposit{value: 1 << 97}();
        openSigned();
        uint256 three = uint256(order.price) * 3;
        topUpRefused(
            client, 3, abi.encodeWithSelector(IMarket.WrongCollateral.selector, type(uint96).max, three)
        );
        topUpRefused(client, 2, abi.encodeWithSelector(ILedger.DepositTooLarge.selector, three));
        vm.prank(client);
        market.topUp(order, 1);
    }

    function test_ended_closed_unknown_or_overdue_lease_is_not_extended() public {
        uint256 overdueAt = START + MAX_SECONDS + WINDOW;
        vm.warp(overdueAt);
        topUpRefused(client, 1, abi.encodeWithSelector(ILedger.LeaseOverdue.selector, leaseId, overdueAt));
        vm.warp(overdueAt - 1);
        vm.prank(client);
        market.topUp(order, 1);
        vm.prank(client);
        market.endLease(leaseId, 1);
        topUpRefused(
            client, 1, abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Ended)
        );
        order = orderOf(3);
        order.deadline = type(uint64).max;
        uint256 unknown = idOf(order);
        topUpRefused(client, 1, abi.encodeWithSelector(ILedger.UnknownLease.selector, unknown));
        vm.prank(client);
        market.createOrder(order);
        topUpRefused(
            client, 1, abi.encodeWithSelector(IMarket.WrongState.selector, unknown, IMarket.State.Created)
        );
    }

    function test_closed_lease_is_not_extended() public {
        settleAs(provider, 0, one(opOf(leaseId, INSERT | CLOSE, 0)));
        topUpRefused(client, 1, abi.encodeWithSelector(ILedger.LeaseClosed.selector, leaseId));
    }

    function testFuzz_extension_is_spendable_and_comes_back(uint32 extra, uint96 spent) public {
        uint64 extraSeconds = uint64(bound(extra, 1, 1e6));
        vm.prank(client);
        market.topUp(order, extraSeconds);
        uint96 whole = COLLATERAL + PRICE * extraSeconds;
        uint96 paid = uint96(bound(spent, 0, whole));
        settleAs(provider, 0, one(opOf(leaseId, INSERT, 0)));
        settleAs(provider, paid, one(opOf(leaseId, CLAIM | CLOSE, paid)));
        vm.assertEq(owedTo(provider), paid);
        vm.assertEq(ledger.balanceOf(client), 1 ether - paid);
        vm.assertEq(ledger.heldOf(provider), 0);
    }
}
