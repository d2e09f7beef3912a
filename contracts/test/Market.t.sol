// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {ILedger} from "../src/interfaces/ILedger.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {Acceptance, Confirmation, End, Order} from "../src/libraries/Messages.sol";
import {Fixture} from "./support/Fixture.sol";
import {bound, vm} from "./support/Forge.sol";

/// @notice A contract that is a client: ERC-1271 says what its one key signed.
contract ContractWallet {
    address private immutable KEY;

    constructor(address key) {
        KEY = key;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        return ECDSA.recover(digest, signature) == KEY ? this.isValidSignature.selector : bytes4(0xffffffff);
    }
}

contract MarketTest is Fixture {
    Order private order;
    Acceptance private acceptance;
    Confirmation private confirmation;

    function setUp() public override {
        super.setUp();
        order = orderOf(1);
        rebind();
    }

    /// @dev Makes acceptance and confirmation fit a changed order.
    function rebind() private {
        acceptance = acceptanceOf(order);
        confirmation = confirmationOf(order, acceptance);
    }

    function stateOf(uint256 leaseId) private view returns (uint256) {
        return uint256(market.leaseOf(leaseId).state);
    }

    function idOf(Order memory of_) private view returns (uint256) {
        return uint256(market.hashOrder(of_)) >> 8;
    }

    // The three steps as transactions

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

        IMarket.Lease memory lease = market.leaseOf(leaseId);
        vm.assertEq(lease.price, PRICE);
        vm.assertEq(lease.maxSeconds, MAX_SECONDS);
        vm.assertEq(uint256(lease.state), uint256(IMarket.State.Open));
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
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Created));
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

    function test_collateral_above_an_amounts_range_is_refused() public {
        order.price = type(uint96).max / 2 + 1;
        order.maxSeconds = 2;
        assertTermsRefused(
            abi.encodeWithSelector(IMarket.WrongCollateral.selector, type(uint96).max, 1 << 96)
        );
    }

    // All at once, by signatures

    function openSigned() private returns (uint256) {
        bytes memory orderSignature = signed(CLIENT_SECRET, hasher.hash(order));
        bytes memory acceptanceSignature = signed(PROVIDER_SECRET, hasher.hash(acceptance));
        bytes memory confirmationSignature = signed(CLIENT_SECRET, hasher.hash(confirmation));
        vm.prank(stranger);
        return market.openLease(
            order, orderSignature, acceptance, acceptanceSignature, confirmation, confirmationSignature
        );
    }

    function openRefused(bytes memory refusal) private {
        bytes memory orderSignature = signed(CLIENT_SECRET, hasher.hash(order));
        bytes memory acceptanceSignature = signed(PROVIDER_SECRET, hasher.hash(acceptance));
        bytes memory confirmationSignature = signed(CLIENT_SECRET, hasher.hash(confirmation));
        vm.expectRevert(refusal);
        market.openLease(
            order, orderSignature, acceptance, acceptanceSignature, confirmation, confirmationSignature
        );
    }

    function test_three_signatures_make_a_lease() public {
        uint256 leaseId = openSigned();
        vm.assertEq(leaseId, idOf(order));
        vm.assertEq(stateOf(leaseId), uint256(IMarket.State.Open));
        vm.assertEq(ledger.balanceOf(client), 1 ether - COLLATERAL);
        vm.assertTrue(market.isNonceUsed(client, 1));
        vm.assertFalse(market.isNonceUsed(client, 2));
    }

    function test_replayed_lease_is_refused() public {
        uint256 leaseId = openSigned();
        openRefused(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Open));
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
        openRefused(abi.encodeWithSelector(IMarket.WrongState.selector, idOf(order), IMarket.State.Cancelled));
        vm.assertTrue(market.isNonceUsed(client, 1));
    }

    function test_open_lease_cannot_be_cancelled() public {
        uint256 leaseId = openSigned();
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.WrongState.selector, leaseId, IMarket.State.Open));
        market.cancelOrder(order);
    }

    // Ending

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

    function testFuzz_end_reason_is_one_of_the_protocols(uint8 reason) public {
        uint256 leaseId = openSigned();
        bool known = reason >= 1 && reason <= 9;
        vm.prank(client);
        if (!known) vm.expectRevert(abi.encodeWithSelector(IMarket.BadReason.selector, reason));
        market.endLease(leaseId, reason);
        vm.assertEq(market.leaseOf(leaseId).reason, known ? reason : 0);
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

    // Reviews

    /// @dev A lease closed in the ledger after `paidSeconds`, for which vouchers claim `numSeconds`.
    function closed(uint64 nonce, uint96 paid, uint64 numSeconds) private returns (uint256 leaseId) {
        leaseId = open(orderOf(nonce));
        ILedger.Op memory op = opOf(leaseId, INSERT | CLAIM | CLOSE, 0, paid);
        op.numSeconds = numSeconds;
        settleAs(provider, one(op));
    }

    function test_review_weighs_the_proven_seconds() public {
        uint256 leaseId = closed(20, 60 * PRICE, 60);
        vm.prank(client);
        vm.expectEmit(address(market));
        emit IMarket.Reviewed(leaseId, provider, client, 5, 60, "fast disks");
        market.review(leaseId, 5, "fast disks");
        uint256 second = closed(21, 30 * PRICE, 30);
        vm.prank(client);
        market.review(second, 2, "");
        (uint64 count, uint96 weight, uint96 weightedStars) = market.ratingOf(provider);
        vm.assertEq(count, 2);
        vm.assertEq(weight, 90);
        vm.assertEq(weightedStars, 60 * 5 + 30 * 2);
    }

    function testFuzz_only_paid_seconds_weigh(uint96 amount, uint64 numSeconds) public {
        uint96 paid = uint96(bound(amount, 0, COLLATERAL));
        uint256 leaseId = closed(20, paid, numSeconds);
        vm.prank(client);
        market.review(leaseId, 5, "");
        (, uint96 weight,) = market.ratingOf(provider);
        uint256 bought = paid / PRICE;
        vm.assertEq(weight, bought < numSeconds ? bought : numSeconds);
        vm.assertTrue(weight <= MAX_SECONDS);
    }

    function test_free_lease_gives_no_weight() public {
        order.price = 0;
        rebind();
        uint256 leaseId = openSigned();
        ILedger.Op memory op = opOf(leaseId, INSERT | CLAIM | CLOSE, 0, 0);
        op.numSeconds = 1000;
        settleAs(provider, one(op));
        vm.prank(client);
        market.review(leaseId, 5, "");
        (uint64 count, uint96 weight,) = market.ratingOf(provider);
        vm.assertEq(count, 1);
        vm.assertEq(weight, 0);
    }

    function test_review_before_close_is_refused() public {
        uint256 leaseId = openSigned();
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotClosed.selector, leaseId));
        market.review(leaseId, 5, "");
    }

    function test_second_review_is_refused() public {
        uint256 leaseId = closed(20, PRICE, 1);
        vm.startPrank(client);
        market.review(leaseId, 5, "");
        vm.expectRevert(abi.encodeWithSelector(IMarket.AlreadyReviewed.selector, leaseId));
        market.review(leaseId, 1, "");
    }

    function test_review_by_another_is_refused() public {
        uint256 leaseId = closed(20, PRICE, 1);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotClient.selector, provider));
        market.review(leaseId, 5, "");
    }

    function testFuzz_stars_are_one_to_five(uint8 stars) public {
        uint256 leaseId = closed(20, PRICE, 1);
        bool known = stars >= 1 && stars <= 5;
        vm.prank(client);
        if (!known) vm.expectRevert(abi.encodeWithSelector(IMarket.BadStars.selector, stars));
        market.review(leaseId, stars, "");
        vm.assertEq(market.leaseOf(leaseId).reviewed ? 1 : 0, known ? 1 : 0);
    }

    function test_comment_has_at_most_280_bytes() public {
        uint256 leaseId = closed(20, PRICE, 1);
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.CommentTooLong.selector, 281));
        market.review(leaseId, 5, string(new bytes(281)));
        market.review(leaseId, 5, string(new bytes(280)));
    }
}
