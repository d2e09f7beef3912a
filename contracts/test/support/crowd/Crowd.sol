// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Market} from "../../../src/Market.sol";
import {vm} from "../Forge.sol";
import {ModelVerifier} from "../Tree.sol";
import {Batches} from "./Batches.sol";
import {Books} from "./Books.sol";
import {Clients} from "./Clients.sol";
import {Providers} from "./Providers.sol";
import {Strangers} from "./Strangers.sol";

/// @notice Clients, providers and strangers that do anything they may, in any order, with a proof of all that is provable.
contract Crowd is Clients, Providers, Strangers {
    constructor(Market market_, ModelVerifier[4] memory verifiers) Books(market_) Batches(verifiers) {}

    /// @notice All that the crowd does, each with up to four words of dice; what is to happen more often stands here more
    /// than once.
    function deeds() external pure returns (bytes4[] memory all) {
        bytes4[23] memory kinds = [
            this.deposits.selector,
            this.withdraws.selector,
            this.opens.selector,
            this.opensSigned.selector,
            this.opensSeveral.selector,
            this.cancels.selector,
            this.ends.selector,
            this.reviews.selector,
            this.settlesFromThePast.selector,
            this.meets.selector,
            this.collects.selector,
            this.registers.selector,
            this.refunds.selector,
            this.othersRefund.selector,
            this.topsUp.selector,
            this.replays.selector,
            this.tampers.selector,
            this.demands.selector,
            this.waits.selector,
            this.othersSettle.selector,
            this.leaves.selector,
            this.settles.selector,
            this.leavesFromThePast.selector
        ];
        uint256[23] memory shares =
            [uint256(1), 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 2, 2, 3, 1, 2, 3, 5, 3];
        all = new bytes4[](38);
        uint256 count;
        for (uint256 i = 0; i < kinds.length; ++i) {
            for (uint256 j = 0; j < shares[i]; ++j) {
                all[count++] = kinds[i];
            }
        }
    }

    function waits(uint256 numSeconds) external deed {
        vm.warp(vm.getBlockTimestamp() + _mixed(numSeconds) % 50 hours);
    }
}
