// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {IMarket} from "../src/interfaces/IMarket.sol";
import {Review} from "../src/libraries/Messages.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../src/libraries/PackedOps.sol";
import {ContractWallet} from "./support/ContractWallet.sol";
import {bound, vm} from "./support/Forge.sol";
import {MarketFixture} from "./support/MarketFixture.sol";

/// @notice Reviews that a client signed and anyone sends.
contract MarketReviewSignedTest is MarketFixture {
    uint256 private constant STRANGER_SECRET = 0x57A6E2;

    /// @dev The order's lease is opened, paid 60 seconds, and closed a minute later; its review is signed.
    function closedAndSigned() private returns (Review memory verdict, bytes memory signature) {
        close();
        verdict = reviewOf(order, 4, unicode"fast disks – 快");
        signature = signed(CLIENT_SECRET, hasher.hash(verdict));
    }

    function close() private {
        Op memory op = opOf(openSigned(), INSERT | CLAIM | CLOSE, 60 * PRICE);
        vm.warp(START + 60);
        settleAs(provider, 60 * uint256(PRICE), one(op));
    }

    function send(Review memory verdict, bytes memory signature) private {
        vm.prank(stranger);
        market.reviewSigned(order, verdict, signature);
    }

    function refused(Review memory verdict, bytes memory signature, bytes memory refusal) private {
        vm.expectRevert(refusal);
        send(verdict, signature);
        vm.assertFalse(market.leaseOf(idOf(order)).reviewed);
    }

    function badSignature() private view returns (bytes memory) {
        return abi.encodeWithSelector(IMarket.BadSignature.selector, order.client);
    }

    function test_signed_review_counts_as_the_clients_own_whoever_sends_it() public {
        (Review memory verdict, bytes memory signature) = closedAndSigned();
        vm.expectEmit(address(market));
        emit IMarket.Reviewed(idOf(order), provider, client, 4, 60, 60 * PRICE, unicode"fast disks – 快");
        send(verdict, signature);
        vm.assertTrue(market.leaseOf(idOf(order)).reviewed);
        (uint64 count, uint96 weight, uint96 stars, uint128 amount, uint128 amountStars) =
            market.ratingOf(provider);
        vm.assertEq(count, 1);
        vm.assertEq(weight, 60);
        vm.assertEq(stars, 4 * 60);
        vm.assertEq(amount, 60 * uint256(PRICE));
        vm.assertEq(amountStars, 4 * 60 * uint256(PRICE));
    }

    function test_replayed_review_is_refused_and_so_is_another_after_it() public {
        (Review memory verdict, bytes memory signature) = closedAndSigned();
        send(verdict, signature);
        bytes memory already = abi.encodeWithSelector(IMarket.AlreadyReviewed.selector, idOf(order));
        vm.expectRevert(already);
        send(verdict, signature);
        vm.prank(client);
        vm.expectRevert(already);
        market.review(order, 1, "");
        Review memory second = reviewOf(order, 1, "changed my mind");
        signature = signed(CLIENT_SECRET, hasher.hash(second));
        vm.expectRevert(already);
        send(second, signature);
    }

    function test_clients_own_transaction_leaves_a_signed_review_nothing() public {
        (Review memory verdict, bytes memory signature) = closedAndSigned();
        vm.prank(client);
        market.review(order, 1, "");
        vm.expectRevert(abi.encodeWithSelector(IMarket.AlreadyReviewed.selector, idOf(order)));
        send(verdict, signature);
    }

    function testFuzz_review_signed_by_another_is_refused(uint256 secret) public {
        (Review memory verdict,) = closedAndSigned();
        secret = bound(secret, 1, type(uint128).max);
        if (secret == CLIENT_SECRET) secret = PROVIDER_SECRET;
        bytes memory signature = signed(secret, hasher.hash(verdict));
        refused(verdict, signature, badSignature());
    }

    function testFuzz_what_was_not_signed_is_refused(uint8 stars, string memory comment, uint64 deadline)
        public
    {
        (Review memory verdict, bytes memory signature) = closedAndSigned();
        bytes32 was = hasher.hash(verdict);
        verdict.stars = stars;
        verdict.comment = comment;
        verdict.deadline = uint64(bound(deadline, START + 60, type(uint64).max));
        if (hasher.hash(verdict) == was) verdict.stars += 1;
        refused(verdict, signature, badSignature());
    }

    function test_signature_of_any_other_length_is_refused() public {
        (Review memory verdict, bytes memory signature) = closedAndSigned();
        refused(verdict, "", badSignature());
        refused(verdict, abi.encodePacked(signature, bytes1(0)), badSignature());
    }

    function test_review_for_another_chain_is_refused() public {
        (Review memory verdict, bytes memory signature) = closedAndSigned();
        vm.chainId(314);
        verdict.order = market.hashOrder(order); // even if the order were the same there
        vm.expectRevert(badSignature());
        send(verdict, signature);
    }

    function test_review_for_another_market_is_refused() public {
        (Review memory verdict, bytes memory signature) = closedAndSigned();
        setUp();
        close();
        refused(verdict, signature, abi.encodeWithSelector(IMarket.OrderMismatch.selector));
        verdict.order = market.hashOrder(order);
        refused(verdict, signature, badSignature());
    }

    function test_review_of_another_lease_is_refused() public {
        close();
        Review memory verdict = reviewOf(orderOf(2), 5, "");
        bytes memory signature = signed(CLIENT_SECRET, hasher.hash(verdict));
        refused(verdict, signature, abi.encodeWithSelector(IMarket.OrderMismatch.selector));
    }

    function test_another_clients_lease_is_not_reviewed_by_an_order_of_ones_own() public {
        closedAndSigned();
        order.client = vm.addr(STRANGER_SECRET);
        Review memory verdict = reviewOf(order, 1, "");
        bytes memory signature = signed(STRANGER_SECRET, hasher.hash(verdict));
        refused(verdict, signature, abi.encodeWithSelector(IMarket.NotClosed.selector, idOf(order)));
    }

    function testFuzz_review_is_taken_until_its_deadline(uint32 late) public {
        (Review memory verdict, bytes memory signature) = closedAndSigned();
        vm.warp(uint256(verdict.deadline) + 1 + late);
        refused(verdict, signature, abi.encodeWithSelector(IMarket.DeadlinePassed.selector, verdict.deadline));
        vm.warp(verdict.deadline);
        send(verdict, signature);
    }

    function test_lease_that_is_not_closed_is_not_reviewed() public {
        openSigned();
        Review memory verdict = reviewOf(order, 4, "");
        bytes memory signature = signed(CLIENT_SECRET, hasher.hash(verdict));
        refused(verdict, signature, abi.encodeWithSelector(IMarket.NotClosed.selector, idOf(order)));
    }

    function test_stars_and_comment_are_bounded_as_in_a_plain_review() public {
        close();
        Review memory verdict = reviewOf(order, 6, "");
        bytes memory signature = signed(CLIENT_SECRET, hasher.hash(verdict));
        refused(verdict, signature, abi.encodeWithSelector(IMarket.BadStars.selector, 6));
        verdict = reviewOf(order, 5, string(new bytes(281)));
        signature = signed(CLIENT_SECRET, hasher.hash(verdict));
        refused(verdict, signature, abi.encodeWithSelector(IMarket.CommentTooLong.selector, 281));
    }

    function test_contract_wallet_reviews_by_erc1271() public {
        order.client = address(new ContractWallet(client));
        rebind();
        vm.prank(client);
        ledger.depositFor{value: 1 ether}(order.client);
        close();
        Review memory verdict = reviewOf(order, 5, "by a contract");
        bytes memory signature = signed(STRANGER_SECRET, hasher.hash(verdict));
        refused(verdict, signature, badSignature());
        signature = signed(CLIENT_SECRET, hasher.hash(verdict));
        vm.expectEmit(address(market));
        emit IMarket.Reviewed(idOf(order), provider, order.client, 5, 60, 60 * PRICE, "by a contract");
        send(verdict, signature);
    }
}
