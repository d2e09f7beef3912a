// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {IMarket} from "../src/interfaces/IMarket.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../src/libraries/PackedOps.sol";
import {bound, vm} from "./support/Forge.sol";
import {MarketFixture} from "./support/MarketFixture.sol";

/// @notice Reviews and what they weigh.
contract MarketReviewTest is MarketFixture {
    /// @dev A lease closed in the ledger after its whole term, for which vouchers confirm `paid` and `numSeconds`.
    function closed(uint64 nonce, uint96 paid, uint64 numSeconds) private {
        closed(nonce, paid, numSeconds, MAX_SECONDS);
    }

    function closed(uint64 nonce, uint96 paid, uint64 numSeconds, uint64 passed) private {
        vm.warp(START);
        Op memory op = opOf(open(orderOf(nonce)), INSERT | CLAIM | CLOSE, paid);
        vm.warp(START + passed);
        op.numSeconds = numSeconds;
        settleAs(provider, paid, one(op));
    }

    function reviewedOf(uint64 nonce) private view returns (bool) {
        return market.leaseOf(idOf(orderOf(nonce))).reviewed;
    }

    function test_review_weighs_the_proven_seconds() public {
        closed(20, 60 * PRICE, 60);
        uint256 leaseId = idOf(orderOf(20));
        vm.prank(client);
        vm.expectEmit(address(market));
        emit IMarket.Reviewed(leaseId, provider, client, 5, 60, 60 * PRICE, "fast disks");
        market.review(orderOf(20), 5, "fast disks");
        closed(21, 30 * PRICE, 30);
        vm.prank(client);
        market.review(orderOf(21), 2, "");
        (uint64 count, uint96 weight, uint96 stars, uint128 amount, uint128 amountStars) =
            market.ratingOf(provider);
        vm.assertEq(count, 2);
        vm.assertEq(weight, 90);
        vm.assertEq(stars, 60 * 5 + 30 * 2);
        vm.assertEq(amount, 90 * uint256(PRICE));
        vm.assertEq(amountStars, (60 * 5 + 30 * 2) * uint256(PRICE));
    }

    function testFuzz_only_paid_seconds_that_passed_weigh(uint96 amount, uint64 numSeconds, uint32 time)
        public
    {
        uint96 paid = uint96(bound(amount, 0, COLLATERAL));
        uint256 passed = bound(time, 0, 2 * MAX_SECONDS);
        closed(20, paid, numSeconds, uint64(passed));
        vm.prank(client);
        market.review(orderOf(20), 5, "");
        (, uint96 weight,, uint128 total,) = market.ratingOf(provider);
        uint256 bought = paid / PRICE;
        uint256 least = bought < numSeconds ? bought : numSeconds;
        vm.assertEq(weight, least < passed ? least : passed);
        vm.assertTrue(weight <= MAX_SECONDS);
        vm.assertEq(total, paid);
    }

    function test_ten_years_in_one_block_weigh_nothing() public {
        order.price = 1;
        order.maxSeconds = 10 * 365 days;
        rebind();
        Op memory op = opOf(openSigned(), INSERT | CLAIM | CLOSE, uint96(order.maxSeconds));
        op.numSeconds = order.maxSeconds;
        settleAs(provider, order.maxSeconds, one(op));
        vm.prank(client);
        market.review(order, 5, "");
        (uint64 count, uint96 weight,, uint128 amount,) = market.ratingOf(provider);
        vm.assertEq(count, 1);
        vm.assertEq(weight, 0);
        vm.assertEq(amount, 315_360_000);
    }

    function test_time_counts_from_the_lock_whatever_extensions_and_ends_move() public {
        uint256 leaseId = open(orderOf(20));
        vm.warp(START + 10);
        vm.prank(client);
        market.topUp(orderOf(20), 600);
        vm.warp(START + 50);
        vm.prank(client);
        market.endLease(leaseId, 1);
        vm.warp(START + 70);
        Op memory op = opOf(leaseId, INSERT | CLAIM | CLOSE, 600 * PRICE);
        settleAs(provider, 600 * uint256(PRICE), one(op));
        vm.assertEq(ledger.leaseOf(leaseId).openedAt, START);
        vm.prank(client);
        market.review(orderOf(20), 5, "");
        (, uint96 weight,,,) = market.ratingOf(provider);
        vm.assertEq(weight, 70);
    }

    function test_free_lease_gives_no_weight() public {
        order.price = 0;
        rebind();
        Op memory op = opOf(openSigned(), INSERT | CLAIM | CLOSE, 0);
        op.numSeconds = 1000;
        settleAs(provider, 0, one(op));
        vm.prank(client);
        market.review(order, 5, "");
        (uint64 count, uint96 weight,,,) = market.ratingOf(provider);
        vm.assertEq(count, 1);
        vm.assertEq(weight, 0);
    }

    function test_review_of_another_price_is_refused() public {
        closed(20, 60 * PRICE, 60);
        order = orderOf(20);
        order.price = 1;
        uint256 other = idOf(order);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotClosed.selector, other));
        market.review(order, 5, "");
    }

    function test_review_before_close_is_refused() public {
        uint256 leaseId = openSigned();
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotClosed.selector, leaseId));
        market.review(order, 5, "");
        settleAs(provider, 0, one(opOf(leaseId, INSERT, 0)));
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotClosed.selector, leaseId));
        market.review(order, 5, "");
    }

    function test_second_review_is_refused() public {
        closed(20, PRICE, 1);
        uint256 leaseId = idOf(orderOf(20));
        vm.startPrank(client);
        market.review(orderOf(20), 5, "");
        vm.expectRevert(abi.encodeWithSelector(IMarket.AlreadyReviewed.selector, leaseId));
        market.review(orderOf(20), 1, "");
    }

    function test_reviewed_lease_can_still_be_ended_and_stays_reviewed() public {
        closed(20, PRICE, 1);
        uint256 leaseId = idOf(orderOf(20));
        vm.startPrank(client);
        market.review(orderOf(20), 5, "");
        market.endLease(leaseId, 1);
        vm.assertTrue(market.leaseOf(leaseId).reviewed);
        vm.assertEq(stateOf(leaseId), uint256(IMarket.State.Ended));
    }

    function test_review_by_another_is_refused() public {
        closed(20, PRICE, 1);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IMarket.NotClient.selector, provider));
        market.review(orderOf(20), 5, "");
    }

    function testFuzz_stars_are_one_to_five(uint8 stars) public {
        closed(20, PRICE, 1);
        bool known = stars >= 1 && stars <= 5;
        vm.prank(client);
        if (!known) vm.expectRevert(abi.encodeWithSelector(IMarket.BadStars.selector, stars));
        market.review(orderOf(20), stars, "");
        vm.assertTrue(reviewedOf(20) == known);
    }

    function test_comment_has_at_most_280_bytes() public {
        closed(20, PRICE, 1);
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(IMarket.CommentTooLong.selector, 281));
        market.review(orderOf(20), 5, string(new bytes(281)));
        market.review(orderOf(20), 5, string(new bytes(280)));
    }
}
