// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Acceptance, Confirmation, Order} from "../../src/libraries/Messages.sol";
import {Fixture} from "./Fixture.sol";
import {vm} from "./Forge.sol";

/// @notice One order with its acceptance and confirmation, to be spoilt and sent.
abstract contract MarketFixture is Fixture {
    Order internal order;
    Acceptance internal acceptance;
    Confirmation internal confirmation;

    function setUp() public virtual override {
        super.setUp();
        order = orderOf(1);
        rebind();
    }

    /// @dev Makes acceptance and confirmation fit a changed order.
    function rebind() internal {
        acceptance = acceptanceOf(order);
        confirmation = confirmationOf(order, acceptance);
    }

    function stateOf(uint256 leaseId) internal view returns (uint256) {
        return uint256(market.leaseOf(leaseId).state);
    }

    function idOf(Order memory of_) internal view returns (uint256) {
        return uint256(market.hashOrder(of_)) >> 8;
    }

    function openSigned() internal returns (uint256) {
        bytes memory orderSignature = signed(CLIENT_SECRET, hasher.hash(order));
        bytes memory acceptanceSignature = signed(PROVIDER_SECRET, hasher.hash(acceptance));
        bytes memory confirmationSignature = signed(CLIENT_SECRET, hasher.hash(confirmation));
        vm.prank(stranger);
        return market.openLease(
            order, orderSignature, acceptance, acceptanceSignature, confirmation, confirmationSignature
        );
    }

    function openRefused(bytes memory refusal) internal {
        bytes memory orderSignature = signed(CLIENT_SECRET, hasher.hash(order));
        bytes memory acceptanceSignature = signed(PROVIDER_SECRET, hasher.hash(acceptance));
        bytes memory confirmationSignature = signed(CLIENT_SECRET, hasher.hash(confirmation));
        vm.expectRevert(refusal);
        market.openLease(
            order, orderSignature, acceptance, acceptanceSignature, confirmation, confirmationSignature
        );
    }
}
