// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../src/interfaces/ILedger.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {Crowd} from "./support/Crowd.sol";
import {Fixture} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";
import {ModelVerifier} from "./support/Tree.sol";

/// @notice What holds whatever anyone does, in any order.
contract SolvencyTest is Fixture {
    Crowd private crowd;

    function setUp() public override {
        super.setUp();
        ModelVerifier[4] memory models =
            [new ModelVerifier(), new ModelVerifier(), new ModelVerifier(), new ModelVerifier()];
        IVerifier[4] memory verifiers;
        for (uint256 i = 0; i < 4; ++i) {
            verifiers[i] = models[i];
        }
        deploy(verifiers);
        crowd = new Crowd(market, models);
        for (uint256 i = 0; i < 3; ++i) {
            crowd.deposits(i, 50 * COLLATERAL);
        }
    }

    /// @dev Read by forge: what the invariants' random calls go to.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @dev Read by forge: of these functions, for `exit` and `setUp` are none of the crowd's doings.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        bytes4[] memory all = new bytes4[](13);
        (all[0], all[1], all[2]) = (crowd.deposits.selector, crowd.withdraws.selector, crowd.opens.selector);
        (all[3], all[4], all[5]) = (crowd.topsUp.selector, crowd.ends.selector, crowd.waits.selector);
        (all[6], all[7], all[8]) = (crowd.collects.selector, crowd.refunds.selector, crowd.settles.selector);
        (all[9], all[10]) = (crowd.othersSettle.selector, crowd.replays.selector);
        (all[11], all[12]) = (crowd.leaves.selector, crowd.tampers.selector);
        targets[0] = FuzzSelector(address(crowd), all);
    }

    function isClosed(uint256 leaseId) private view returns (bool) {
        return ledger.leaseOf(leaseId).state == ILedger.State.Closed;
    }

    /// @notice The ledger has exactly what it owes: balances, what open leases still hold, earnings.
    function invariant_ledger_holds_exactly_what_it_owes() external view {
        uint256 owed;
        uint256 flow;
        for (uint256 i = 0; i < 3; ++i) {
            address by = crowd.clients(i);
            owed += ledger.balanceOf(by);
            flow += crowd.putIn(by);
            flow -= crowd.tookOut(by);
        }
        for (uint256 i = 0; i < 2; ++i) {
            address by = crowd.providers(i);
            owed += owedTo(by) + ledger.heldOf(by);
            flow -= crowd.collectedBy(by);
        }
        vm.assertEq(address(ledger).balance, owed);
        vm.assertEq(address(ledger).balance, flow);
        vm.assertEq(address(market).balance, 0);
    }

    /// @notice Each attoFIL of a deposit goes once: to the provider as proven, or back to the client.
    function invariant_no_path_pays_twice() external view {
        uint256[3] memory balances;
        uint256[2] memory held;
        uint256[2] memory earned;
        for (uint256 i = 0; i < 3; ++i) {
            balances[i] = crowd.putIn(crowd.clients(i)) - crowd.tookOut(crowd.clients(i));
        }
        for (uint256 i = 0; i < crowd.leaseCount(); ++i) {
            ILedger.Lease memory lease = ledger.leaseOf(crowd.leases(i));
            uint256 claimed = crowd.claimed(crowd.leases(i));
            vm.assertTrue(claimed <= lease.deposit);
            uint256 c = lease.client == crowd.clients(0) ? 0 : lease.client == crowd.clients(1) ? 1 : 2;
            uint256 p = lease.provider == crowd.providers(0) ? 0 : 1;
            earned[p] += claimed;
            if (isClosed(crowd.leases(i))) {
                vm.assertEq(lease.paid, claimed);
                balances[c] -= claimed;
            } else {
                held[p] += lease.deposit - claimed;
                balances[c] -= lease.deposit;
            }
        }
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(ledger.balanceOf(crowd.clients(i)), balances[i]);
        }
        for (uint256 i = 0; i < 2; ++i) {
            address by = crowd.providers(i);
            vm.assertEq(ledger.heldOf(by), held[i]);
            vm.assertEq(crowd.earnedBy(by), earned[i]);
            vm.assertEq(owedTo(by) + crowd.collectedBy(by), earned[i]);
        }
    }

    /// @notice A root is where the proofs led, and a lease in the tree is one that the ledger calls inserted.
    function invariant_roots_move_by_proofs_alone() external view {
        for (uint256 i = 0; i < 2; ++i) {
            address by = crowd.providers(i);
            vm.assertEq(rootOf(by), crowd.trees(by).root());
        }
        for (uint256 i = 0; i < crowd.leaseCount(); ++i) {
            uint256 leaseId = crowd.leases(i);
            if (ledger.leaseOf(leaseId).state != ILedger.State.Inserted) continue;
            address by = ledger.leaseOf(leaseId).provider;
            uint256 version = crowd.trees(by).version();
            vm.assertEq(crowd.trees(by).leafAt(crowd.indexOf(leaseId), version).leaseId, leaseId);
        }
    }

    /// @dev Read by forge at the end of each random run: a year on, with every provider doing all it can against it,
    /// every client gets out in the same hour.
    function afterInvariant() external {
        vm.warp(vm.getBlockTimestamp() + 365 days);
        for (uint256 i = 0; i < crowd.leaseCount(); ++i) {
            crowd.exit(crowd.leases(i), uint256(keccak256(abi.encode(i, crowd.moves()))));
            vm.assertTrue(isClosed(crowd.leases(i)));
        }
        for (uint256 i = 0; i < 2; ++i) {
            vm.assertEq(ledger.heldOf(crowd.providers(i)), 0);
        }
    }

    /// @notice The crowd is one that the invariants are worth something with: all that they are about happens.
    /// forge-config: default.isolate = false
    function test_all_kinds_of_things_happen_in_the_crowd() external {
        for (uint256 i = 0; i < 400; ++i) {
            uint256 dice = uint256(keccak256(abi.encode("crowd", i)));
            uint256 kind = dice % 16;
            dice >>= 8;
            if (kind < 4) crowd.opens(dice, dice >> 8, uint96(dice >> 16));
            else if (kind < 7) crowd.settles(dice, dice >> 8, dice >> 16);
            else if (kind == 7) crowd.topsUp(dice, uint32(dice >> 16), dice & 1 == 0);
            else if (kind == 8) crowd.ends(dice, dice & 1 == 0);
            else if (kind == 9) crowd.waits(uint32(dice));
            else if (kind == 10) crowd.collects(dice);
            else if (kind == 11) crowd.othersSettle(dice, dice >> 8, dice >> 16);
            else if (kind == 12) crowd.replays(dice);
            else if (kind == 13) crowd.tampers(dice, dice >> 8, dice >> 16, dice >> 32);
            else if (kind == 14) crowd.leaves(dice, dice >> 16);
            else crowd.refunds(dice);
        }
        for (uint256 i = 0; i < 60; ++i) {
            crowd.opens(i, i >> 1, uint96(i) * 5e7);
        }
        for (uint256 i = 0; i < 24; ++i) {
            crowd.settles(i, i >> 1, uint256(keccak256(abi.encode("settle", i))));
        }
        vm.warp(vm.getBlockTimestamp() + 365 days);
        for (uint256 i = 0; i < crowd.leaseCount(); ++i) {
            crowd.exit(crowd.leases(i), uint256(keccak256(abi.encode("exit", i))));
        }
        vm.assertTrue(crowd.moves() > 50, "batches");
        vm.assertTrue(crowd.refused() > 20, "refusals");
        vm.assertTrue(crowd.exits() > 5, "exits by proof");
        vm.assertTrue(crowd.outrun() > 5, "exits whose root the shard had left");
        vm.assertTrue(crowd.replaysRefused() > 5, "replays");
        vm.assertTrue(crowd.collectedBy(crowd.providers(0)) > 0, "earnings");
    }
}
