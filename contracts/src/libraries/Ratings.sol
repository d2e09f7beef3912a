// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../interfaces/ILedger.sol";

/// @dev What a provider's reviews come to: how many, the sums of their weights and of stars times weight, and the same
/// two sums weighted by attoFIL paid.
struct Rating {
    uint64 count;
    uint96 weight;
    uint96 weightedStars;
    uint128 amount;
    uint128 amountStars;
}

/// @title What a review weighs, and what reviews come to.
library Ratings {
    function add(Rating storage rating, uint8 stars, uint64 weight, uint96 paid) internal {
        rating.count += 1;
        rating.weight += weight;
        rating.weightedStars += uint96(weight) * stars;
        rating.amount += paid;
        rating.amountStars += uint128(paid) * stars;
    }

    /// @dev A voucher's seconds are only the client's word; what was paid for them, and the time that passed on chain
    /// while the lease was there, bound what they count for.
    function weigh(uint96 price, ILedger.Lease memory account) internal pure returns (uint64 weight) {
        if (price == 0) return 0;
        weight = account.numSeconds;
        uint256 bought = account.paid / price;
        // forge-lint: disable-next-line(unsafe-typecast) (below a uint64)
        if (bought < weight) weight = uint64(bought);
        uint64 passed = account.closedAt - account.openedAt;
        if (passed < weight) weight = passed;
    }
}
