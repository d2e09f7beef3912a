// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../../../src/interfaces/ILedger.sol";
import {IMarket} from "../../../src/interfaces/IMarket.sol";
import {Acceptance, End, Order} from "../../../src/libraries/Messages.sol";
import {bound, vm} from "../Forge.sol";
import {Books} from "./Books.sol";

/// @notice What clients do, and others for them: money in and out, leases opened by each way, extended, ended, reviewed.
abstract contract Clients is Books {
    uint64 private _nonce;

    function deposits(uint256 who, uint256 amount, uint256 how) external deed {
        how = _mixed(how);
        address by = clients[who % clients.length];
        uint256 value = bound(amount, 0, 100 * uint256(COLLATERAL));
        if (how % 2 == 0) {
            _pays(by, by, value);
            vm.prank(by);
            ledger.deposit{value: value}();
            _happens("deposit");
        } else {
            _pays(stranger, by, value);
            vm.prank(stranger);
            ledger.depositFor{value: value}(by);
            _happens("deposit for another");
        }
    }

    function withdraws(uint256 who, uint256 amount) external deed {
        address by = clients[who % clients.length];
        uint256 value = bound(_mixed(amount), 0, ledger.balanceOf(by));
        uint256 before = by.balance;
        vm.prank(by);
        ledger.withdraw(value);
        vm.assertEq(by.balance - before, value);
        tookOut[by] += value;
        _happens("withdrawal");
    }

    /// @dev In three steps; the collateral comes out of the balance, or some of it with the confirmation.
    function opens(uint256 who, uint256 with, uint256 price, uint256 how) external deed {
        (price, how) = (_mixed(price), _mixed(how));
        Order memory order = _order(who, with, price, how);
        uint256 missing = _missing(order);
        uint256 value = how % 2 == 0 ? missing + (how >> 8) % COLLATERAL : 0;
        if (missing > value) return;
        _pays(order.client, order.client, value);
        Acceptance memory acceptance = _accepted(order);
        vm.prank(order.client);
        market.confirmOrder{value: value}(order, acceptance);
        _opened(order);
        _happens(value == 0 ? "opening from the balance" : "opening with value");
    }

    /// @dev By signatures alone; a second time the same ones do nothing.
    function opensSigned(uint256 who, uint256 with, uint256 price, uint256 how) external deed {
        (price, how) = (_mixed(price), _mixed(how));
        Order memory order = _order(who, with, price, how);
        if (_missing(order) > 0) return;
        vm.assertTrue(_opensBySignatures(order), "signed opening");
        _opened(order);
        _happens("signed opening");
        vm.assertFalse(_opensBySignatures(order), "an opening counted twice");
        _happens("signed opening again");
    }

    /// @dev Each of another client; all of them, or none if one can't pay.
    function opensSeveral(uint256 who, uint256 with, uint256 price, uint256 how) external deed {
        (price, how) = (_mixed(price), _mixed(how));
        IMarket.Opening[] memory openings = new IMarket.Opening[](2 + how % 2);
        bool payable_ = true;
        for (uint256 i = 0; i < openings.length; ++i) {
            Order memory order = _order(who % 3 + i, with % 2 + i, price >> i, how >> (8 * i));
            // Now and then more than any client has.
            if (i == 1 && (how >> 24) % 4 == 0) order.price = 1e6 * PRICE;
            if (_missing(order) > 0) payable_ = false;
            openings[i] = _opening(order);
        }
        vm.prank(stranger);
        (bool taken,) = address(market).call(abi.encodeCall(market.openLeases, (openings)));
        vm.assertTrue(taken == payable_, "several openings");
        _happens(taken ? "several signed openings" : "several signed openings, none taken");
        for (uint256 i = 0; i < openings.length; ++i) {
            if (taken) _opened(openings[i].order);
            else vm.assertTrue(_isUnknown(openings[i].order), "one of several openings was taken");
        }
    }

    /// @dev Takes an order back that is only signed, published or accepted: nothing opens it any more.
    function cancels(uint256 who, uint256 with, uint256 price, uint256 how) external deed {
        (price, how) = (_mixed(price), _mixed(how));
        Order memory order = _order(who, with, price, how);
        Acceptance memory acceptance = _acceptance(order);
        if (how % 3 == 1) {
            vm.prank(order.client);
            market.createOrder(order);
        } else if (how % 3 == 2) {
            _accepted(order);
        }
        vm.prank(order.client);
        market.cancelOrder(order);
        _happens(how % 3 == 0 ? "unpublished order cancelled" : "published order cancelled");
        vm.assertFalse(_opensBySignatures(order), "a cancelled order was opened by signatures");
        vm.prank(order.client);
        (bool taken,) = address(market).call(abi.encodeCall(market.confirmOrder, (order, acceptance)));
        vm.assertFalse(taken, "a cancelled order was confirmed");
        vm.assertTrue(_isUnknown(order), "a cancelled order has a lease");
    }

    function topsUp(uint256 which, uint256 extra, uint256 how) external deed {
        how = _mixed(how);
        uint256 leaseId = _running(which, how >> 8);
        if (leaseId == 0) return;
        Order memory order = _orders[leaseId];
        uint64 extraSeconds = uint64(bound(extra, 1, 1 days));
        uint256 cost = uint256(order.price) * extraSeconds;
        if (how % 3 == 0 || cost == 0) {
            if (ledger.balanceOf(order.client) < cost) return;
            vm.prank(order.client);
            market.topUp(order, extraSeconds);
            _happens("top-up from the balance");
        } else {
            address by = how % 3 == 1 ? order.client : stranger;
            _pays(by, order.client, cost);
            vm.prank(by);
            market.topUp{value: cost}(order, extraSeconds);
            _happens(by == stranger ? "top-up by another" : "top-up with value");
        }
        if (vm.getBlockTimestamp() + WINDOW >= ledger.leaseOf(leaseId).overdueAt - extraSeconds) {
            _happens("top-up of what ran out");
        }
    }

    /// @dev On either side, in person or by a signed End, which counts once.
    function ends(uint256 which, uint256 reason, uint256 how) external deed {
        if (leases.length == 0) return;
        how = _mixed(how);
        uint256 leaseId = leases[which % leases.length];
        for (uint256 i = 0; market.leaseOf(leaseId).state != IMarket.State.Open; ++i) {
            if (i == leases.length) return;
            leaseId = leases[(which % leases.length + i) % leases.length];
        }
        Order memory order = _orders[leaseId];
        address by = how % 2 == 0 ? order.client : order.provider;
        End memory end = endOf(leaseId, order, uint8(1 + reason % 9));
        if ((how >> 8) % 2 == 0) {
            vm.prank(by);
            market.endLease(leaseId, end.reason);
            _happens(how % 2 == 0 ? "end by the client" : "end by the provider");
            return;
        }
        bytes memory text =
            abi.encodeCall(market.endLeaseSigned, (end, by, signed(_secrets[by], hasher.hash(end))));
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(stranger);
            (bool taken,) = address(market).call(text);
            vm.assertTrue(taken == (i == 0), "signed end");
        }
        _happens("signed end");
    }

    /// @dev Once for each lease.
    function reviews(uint256 which, uint256 stars) external deed {
        uint256 leaseId = _pick(which, ILedger.State.Closed, false);
        if (leaseId == 0) return;
        Order memory order = _orders[leaseId];
        bool fresh = !market.leaseOf(leaseId).reviewed;
        bytes memory text = abi.encodeCall(market.review, (order, uint8(1 + stars % 5), "fine"));
        vm.prank(order.client);
        (bool taken,) = address(market).call(text);
        vm.assertTrue(taken == fresh, "review");
        _happens(taken ? "review" : "second review refused");
    }

    function _order(uint256 who, uint256 with, uint256 price, uint256 how)
        private
        returns (Order memory order)
    {
        order = orderOf(_nonce++);
        (order.client, order.provider) = (clients[who % clients.length], providers[with % providers.length]);
        order.price = price % 16 == 0 ? 0 : uint96(bound(price, 1, PRICE));
        order.maxSeconds = uint64(bound(how >> 64, 60, MAX_SECONDS));
        order.deadline = type(uint64).max;
    }

    function _missing(Order memory order) private view returns (uint256) {
        uint256 cost = uint256(order.price) * order.maxSeconds;
        uint256 balance = ledger.balanceOf(order.client);
        return cost > balance ? cost - balance : 0;
    }

    function _opened(Order memory order) private {
        uint256 leaseId = uint256(market.hashOrder(order)) >> 8;
        vm.assertEq(uint256(ledger.leaseOf(leaseId).state), uint256(ILedger.State.Locked));
        leases.push(leaseId);
        _orders[leaseId] = order;
    }

    function _isUnknown(Order memory order) private view returns (bool) {
        uint256 leaseId = uint256(market.hashOrder(order)) >> 8;
        return ledger.leaseOf(leaseId).state == ILedger.State.None;
    }

    function _acceptance(Order memory order) private view returns (Acceptance memory acceptance) {
        acceptance = acceptanceOf(order);
        acceptance.deadline = type(uint64).max;
    }

    /// @dev Published by its client and answered by its provider.
    function _accepted(Order memory order) private returns (Acceptance memory acceptance) {
        acceptance = _acceptance(order);
        vm.prank(order.client);
        market.createOrder(order);
        vm.prank(order.provider);
        market.acceptOrder(order, acceptance);
    }

    function _opening(Order memory order) private view returns (IMarket.Opening memory opening) {
        opening.order = order;
        opening.acceptance = _acceptance(order);
        opening.confirmation = confirmationOf(order, opening.acceptance);
        opening.confirmation.deadline = type(uint64).max;
        opening.orderSignature = signed(_secrets[order.client], hasher.hash(order));
        opening.acceptanceSignature = signed(_secrets[order.provider], hasher.hash(opening.acceptance));
        opening.confirmationSignature = signed(_secrets[order.client], hasher.hash(opening.confirmation));
    }

    function _opensBySignatures(Order memory order) private returns (bool taken) {
        IMarket.Opening memory o = _opening(order);
        bytes memory text = abi.encodeCall(
            market.openLease,
            (
                o.order,
                o.orderSignature,
                o.acceptance,
                o.acceptanceSignature,
                o.confirmation,
                o.confirmationSignature
            )
        );
        vm.prank(stranger);
        (taken,) = address(market).call(text);
    }

    /// @dev The first lease from that one on that can be extended, 0 if none; by the dice one whose term ran out.
    function _running(uint256 which, uint256 dice) private view returns (uint256 found) {
        uint256 now_ = vm.getBlockTimestamp();
        for (uint256 i = 0; i < leases.length; ++i) {
            uint256 leaseId = leases[(which % leases.length + i) % leases.length];
            uint256 overdueAt = ledger.leaseOf(leaseId).overdueAt;
            if (!_isOpen(leaseId) || now_ >= overdueAt) continue;
            if (market.leaseOf(leaseId).state != IMarket.State.Open) continue;
            if (found == 0) found = leaseId;
            if (dice % 2 == 0 || now_ + WINDOW >= overdueAt) return leaseId;
        }
    }
}
