// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../../../src/interfaces/ILedger.sol";
import {vm} from "../Forge.sol";
import {Batches} from "./Batches.sol";

/// @notice What providers do: batches, some with what the contracts refuse, refunds, and their earnings out.
abstract contract Providers is Batches {
    /// @dev A batch of anything provable on some of the provider's leases.
    function settles(uint256 with, uint256 place, uint256 dice) external deed {
        (place, dice) = (_mixed(place), _mixed(dice));
        address by = providers[with % providers.length];
        Plan memory plan = _place(by, place);
        Fault fault = (dice >> 128) % 5 < 2 ? Fault(1 + (dice >> 136) % 6) : Fault.None;
        if (fault == Fault.Neglect) plan = _placeAtOverdue(by, place);
        plan.fault = fault;
        _settle(by, plan, _batch(plan, dice));
    }

    /// @dev As `settles`, from a root that the tree left; only closes that were demanded there get through.
    function settlesFromThePast(uint256 with, uint256 place, uint256 dice) external deed {
        (place, dice) = (_mixed(place), _mixed(dice));
        address by = providers[with % providers.length];
        Plan memory plan = _place(by, place);
        plan.version = dice % (plan.version + 1);
        _settle(by, plan, _batch(plan, dice));
    }

    /// @dev Closes the lease that the next batch must close, if one is demanded.
    function meets(uint256 with, uint256 dice) external deed {
        address by = providers[with % providers.length];
        uint256 demanded = demandedOf(by);
        if (demanded == 0) return;
        Plan memory plan = _place(by, 4);
        plan.window = indexOf[demanded];
        vm.assertTrue(_settle(by, plan, _batch(plan, _mixed(dice))), "a provider cannot meet a demand");
        vm.assertEq(demandedOf(by), 0);
        _happens("demand met");
    }

    /// @dev To the payout address if one is registered.
    function collects(uint256 with) external deed {
        address by = providers[with % providers.length];
        uint256 owed = owedTo(by);
        if (owed == 0) return;
        address payout = registry.payoutOf(by);
        _happens(payout == address(0) ? "earnings collected" : "earnings to a payout address");
        if (payout == address(0)) payout = by;
        uint256 before = payout.balance;
        vm.prank(by);
        vm.assertEq(ledger.collect(), owed);
        vm.assertEq(payout.balance - before, owed);
        collectedBy[by] += owed;
    }

    /// @dev One of them alone: the others' earnings go to themselves.
    function registers(uint256 dice) external deed {
        bool listed = registry.providerOf(providers[1]).active;
        address payout = address(uint160(0xA11CE000 + dice % 4));
        vm.prank(providers[1]);
        if (listed) registry.update("http://p", 0, 0, payout);
        else registry.register(0, "http://p", 0, 0, payout);
        _happens("payout address registered");
    }

    /// @dev One lease that its provider has not inserted, or all such.
    function refunds(uint256 which, uint256 how) external deed {
        uint256 leaseId = _pick(which, ILedger.State.Locked, false);
        if (leaseId == 0) return;
        address by = ledger.leaseOf(leaseId).provider;
        uint256[] memory leaseIds = _locked(by);
        if (_mixed(how) % 4 != 0) leaseIds = _only(leaseId);
        vm.prank(by);
        ledger.refund(leaseIds);
        _happens(leaseIds.length > 1 ? "refund of several" : "refund");
    }

    function _locked(address by) private view returns (uint256[] memory leaseIds) {
        leaseIds = new uint256[](leases.length);
        uint256 count;
        for (uint256 i = 0; i < leases.length; ++i) {
            ILedger.Lease memory lease = ledger.leaseOf(leases[i]);
            if (lease.provider == by && lease.state == ILedger.State.Locked) leaseIds[count++] = leases[i];
        }
        assembly ("memory-safe") {
            mstore(leaseIds, count)
        }
    }
}
