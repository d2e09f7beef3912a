// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../src/interfaces/ILedger.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {ContractWallet} from "./support/ContractWallet.sol";
import {vm} from "./support/Forge.sol";
import {MarketFixture} from "./support/MarketFixture.sol";

/// @notice Leases opened by three signatures, one or many at once.
contract MarketOpenTest is MarketFixture {
    function test_three_signatures_make_a_lease() public {
        uint256 leaseId = openSigned();
        vm.assertEq(leaseId, idOf(order));
        vm.assertEq(stateOf(leaseId), uint256(IMarket.State.Open));
        vm.assertEq(ledger.balanceOf(client), 1 ether - COLLATERAL);
        vm.assertTrue(market.isNonceUsed(client, 1));
        vm.assertFalse(market.isNonceUsed(client, 2));
    }

    function test_replayed_lease_is_refused() public {
        openSigned();
        openRefused(abi.encodeWithSelector(IMarket.NonceUsed.selector, client, 1));
    }

    function test_nonce_used_before_is_refused() public {
        openSigned();
        order.price = PRICE + 1;
        rebind();
        openRefused(abi.encodeWithSelector(IMarket.NonceUsed.selector, client, 1));
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NonceUsed.selector, client, 1));
        market.createOrder(order);
    }

    function testFuzz_each_nonce_serves_once(uint64 a, uint64 b) public {
        vm.assume(a != b);
        open(orderOf(a));
        vm.assertTrue(market.isNonceUsed(client, a));
        vm.assertFalse(market.isNonceUsed(client, b));
        open(orderOf(b));
    }

    function assertSignaturesRefused(uint256[3] memory secrets, address blamed) private {
        bytes memory orderSignature = signed(secrets[0], hasher.hash(order));
        bytes memory acceptanceSignature = signed(secrets[1], hasher.hash(acceptance));
        bytes memory confirmationSignature = signed(secrets[2], hasher.hash(confirmation));
        vm.expectRevert(abi.encodeWithSelector(IMarket.BadSignature.selector, blamed));
        market.openLease(
            order, orderSignature, acceptance, acceptanceSignature, confirmation, confirmationSignature
        );
    }

    function test_each_signature_must_be_its_partys() public {
        assertSignaturesRefused([PROVIDER_SECRET, PROVIDER_SECRET, CLIENT_SECRET], client);
        assertSignaturesRefused([CLIENT_SECRET, CLIENT_SECRET, CLIENT_SECRET], provider);
        assertSignaturesRefused([CLIENT_SECRET, PROVIDER_SECRET, PROVIDER_SECRET], client);
    }

    function test_signatures_for_another_chain_are_refused() public {
        vm.chainId(314);
        bytes memory foreign = signed(CLIENT_SECRET, hasher.hash(order));
        vm.chainId(31415926);
        rebind();
        bytes memory acceptanceSignature = signed(PROVIDER_SECRET, hasher.hash(acceptance));
        bytes memory confirmationSignature = signed(CLIENT_SECRET, hasher.hash(confirmation));
        vm.expectRevert(abi.encodeWithSelector(IMarket.BadSignature.selector, client));
        market.openLease(order, foreign, acceptance, acceptanceSignature, confirmation, confirmationSignature);
    }

    function test_signature_with_high_s_is_refused() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CLIENT_SECRET, typed(hasher.hash(order)));
        uint256 n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        bytes memory malleated = abi.encodePacked(r, n - uint256(s), v == 27 ? uint8(28) : uint8(27));
        bytes memory acceptanceSignature = signed(PROVIDER_SECRET, hasher.hash(acceptance));
        bytes memory confirmationSignature = signed(CLIENT_SECRET, hasher.hash(confirmation));
        vm.expectRevert(abi.encodeWithSelector(IMarket.BadSignature.selector, client));
        market.openLease(
            order, malleated, acceptance, acceptanceSignature, confirmation, confirmationSignature
        );
    }

    function test_messages_of_different_leases_do_not_mix() public {
        bytes32 orderHash = acceptance.order;
        acceptance.order = keccak256("another");
        openRefused(abi.encodeWithSelector(IMarket.OrderMismatch.selector));
        acceptance.order = orderHash;
        confirmation.order = keccak256("another");
        openRefused(abi.encodeWithSelector(IMarket.OrderMismatch.selector));
        confirmation.order = orderHash;
        acceptance.hostKey = keccak256("another host");
        openRefused(abi.encodeWithSelector(IMarket.AcceptanceMismatch.selector));
    }

    function testFuzz_collateral_is_price_times_duration(uint96 collateral) public {
        vm.assume(collateral != COLLATERAL);
        confirmation.collateral = collateral;
        openRefused(abi.encodeWithSelector(IMarket.WrongCollateral.selector, COLLATERAL, collateral));
    }

    function test_signed_messages_are_refused_after_their_deadlines() public {
        uint64 soon = START + 10;
        order.deadline = soon;
        rebind();
        vm.warp(soon + 1);
        openRefused(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, soon));
        order.deadline = START + 1 hours;
        rebind();
        acceptance.deadline = soon;
        confirmation.acceptance = hasher.hash(acceptance);
        openRefused(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, soon));
        rebind();
        confirmation.deadline = soon;
        openRefused(abi.encodeWithSelector(IMarket.DeadlinePassed.selector, soon));
        vm.warp(soon);
        openSigned();
    }

    function test_unfunded_client_gets_no_lease() public {
        vm.prank(client);
        ledger.withdraw(1 ether);
        openRefused(abi.encodeWithSelector(ILedger.InsufficientBalance.selector, 0, COLLATERAL));
        vm.assertEq(stateOf(idOf(order)), uint256(IMarket.State.None));
    }

    function test_contract_wallet_leases_by_erc1271() public {
        ContractWallet wallet = new ContractWallet(client);
        order.client = address(wallet);
        rebind();
        vm.prank(client);
        ledger.depositFor{value: 1 ether}(address(wallet));
        uint256 leaseId = openSigned();
        vm.assertEq(ledger.leaseOf(leaseId).client, address(wallet));
    }

    function test_contract_wallet_refuses_what_it_did_not_sign() public {
        ContractWallet wallet = new ContractWallet(stranger);
        order.client = address(wallet);
        rebind();
        openRefused(abi.encodeWithSelector(IMarket.BadSignature.selector, address(wallet)));
    }

    // Many at once

    function test_many_leases_open_in_one_transaction() public {
        IMarket.Opening[] memory many = openingsOf(0, 3);
        vm.prank(stranger);
        uint256[] memory leaseIds = market.openLeases(many);
        vm.assertEq(leaseIds.length, 3);
        for (uint64 i = 0; i < 3; ++i) {
            vm.assertEq(leaseIds[i], idOf(orderOf(i)));
            vm.assertEq(uint256(ledger.leaseOf(leaseIds[i]).state), uint256(ILedger.State.Locked));
            vm.assertTrue(market.isNonceUsed(client, i));
        }
        vm.assertEq(ledger.heldOf(provider), 3 * uint256(COLLATERAL));
        vm.assertEq(ledger.balanceOf(client), 1 ether - 3 * uint256(COLLATERAL));
    }

    function test_one_bad_opening_opens_none() public {
        IMarket.Opening[] memory many = openingsOf(0, 3);
        many[2].acceptanceSignature = many[1].acceptanceSignature;
        vm.expectRevert(abi.encodeWithSelector(IMarket.BadSignature.selector, provider));
        market.openLeases(many);
        vm.assertEq(stateOf(idOf(orderOf(0))), uint256(IMarket.State.None));
        vm.assertFalse(market.isNonceUsed(client, 0));
    }

    function test_one_order_is_not_opened_twice_at_once() public {
        IMarket.Opening[] memory many = openingsOf(0, 2);
        many[1] = many[0];
        vm.expectRevert(abi.encodeWithSelector(IMarket.NonceUsed.selector, client, 0));
        market.openLeases(many);
    }

    /// @dev Filecoin's mempool takes messages of at most 64 KiB.
    function test_forty_openings_fit_a_message() public view {
        vm.assertTrue(abi.encodeCall(IMarket.openLeases, (openingsOf(0, 40))).length < 64 << 10);
    }
}
