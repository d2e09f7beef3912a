// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../src/interfaces/ILedger.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {Fixture} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";
import {ModelVerifier, Tree} from "./support/Tree.sol";
import {Crowd} from "./support/crowd/Crowd.sol";

/// @notice What holds whatever anyone does, in any order.
/// forge-config: default.invariant.runs = 8
/// forge-config: default.invariant.depth = 280
/// forge-config: default.invariant.shrink-run-limit = 100
/// forge-config: deep.invariant.runs = 64
/// forge-config: deep.invariant.depth = 600
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
            crowd.deposits(i, 50 * COLLATERAL, 0);
        }
        for (uint256 i = 0; i < 12; ++i) {
            crowd.opens(i, i / 2, i + 1, i);
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
        targets[0] = FuzzSelector(address(crowd), crowd.deeds());
    }

    /// @notice The ledger has exactly what it owes: balances, what open leases still hold, earnings.
    function invariant_ledger_holds_exactly_what_it_owes() public view {
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
    function invariant_no_path_pays_twice() public view {
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
            if (lease.state == ILedger.State.Closed) {
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

    /// @notice A root is where the proofs led, and a lease that the ledger calls inserted is in the tree, with what was
    /// claimed of it.
    function invariant_roots_move_by_proofs_alone() public view {
        for (uint256 i = 0; i < 2; ++i) {
            address by = crowd.providers(i);
            vm.assertEq(rootOf(by), crowd.trees(by).root());
        }
        for (uint256 i = 0; i < crowd.leaseCount(); ++i) {
            uint256 leaseId = crowd.leases(i);
            ILedger.Lease memory lease = ledger.leaseOf(leaseId);
            if (lease.state != ILedger.State.Inserted) continue;
            Tree tree = crowd.trees(lease.provider);
            Tree.Leaf memory leaf = tree.leafAt(crowd.indexOf(leaseId), tree.version());
            vm.assertEq(leaf.leaseId, leaseId);
            vm.assertEq(leaf.amount, crowd.claimed(leaseId));
        }
    }

    /// @notice From wherever things stand, a client that ends its lease now is out, with all that is its own, within
    /// the hour after the window. One lease is looked at after each step; what comes of it is forgotten by forge.
    function invariant_every_client_gets_out_within_the_window() external {
        uint256 count = crowd.leaseCount();
        if (count == 0) return;
        uint256 dice = uint256(keccak256(abi.encode(count, vm.getBlockTimestamp(), address(ledger).balance)));
        _getsOut(crowd.leases(dice % count), dice >> 32);
    }

    function _getsOut(uint256 leaseId, uint256 dice) private {
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        if (lease.state == ILedger.State.Closed) return;
        uint256 now_ = vm.getBlockTimestamp();
        if (market.leaseOf(leaseId).state == IMarket.State.Open) {
            vm.prank(lease.client);
            market.endLease(leaseId, 1);
        }
        uint256 overdueAt = ledger.leaseOf(leaseId).overdueAt;
        vm.assertTrue(overdueAt <= now_ + WINDOW, "the window is longer than a day");
        if (now_ < overdueAt) vm.warp(overdueAt);
        crowd.exit(leaseId, dice);
        vm.assertTrue(ledger.leaseOf(leaseId).state == ILedger.State.Closed, "a client is not out");
    }

    /// @dev Read by forge at the end of each random run. A whole run has what is asked for here, and what is rarer the long
    /// run below; a failing one that forge has shortened need not.
    function afterInvariant() external {
        if (crowd.deedCount() >= 250) _aRunDidEnough();
        _allGetOut();
    }

    function _aRunDidEnough() private view {
        uint256 taken = crowd.times("provider's batch of 1") + crowd.times("provider's batch of 8")
            + crowd.times("provider's batch of 64") + crowd.times("provider's batch of 256");
        vm.assertTrue(taken >= 3, "providers' batches");
        uint256 bare = crowd.times("bare insert") + crowd.times("insert and close without claim")
            + crowd.times("close without claim");
        vm.assertTrue(bare >= 1, "operations without a claim");
        _atLeast(1, "provider's batch refused");
        _atLeast(1, "stranger's batch");
        _atLeast(1, "replay refused");
        _atLeast(1, "tampered batch refused");
    }

    /// @dev A year on, with every provider doing all it can against it, every client gets out in the same hour; and then,
    /// too, all holds.
    function _allGetOut() private {
        vm.warp(vm.getBlockTimestamp() + 365 days);
        for (uint256 i = 0; i < crowd.leaseCount(); ++i) {
            _getsOut(crowd.leases(i), uint256(keccak256(abi.encode("exit", i))));
        }
        for (uint256 i = 0; i < 2; ++i) {
            vm.assertEq(ledger.heldOf(crowd.providers(i)), 0);
        }
        _allHolds();
    }

    function _allHolds() private view {
        invariant_ledger_holds_exactly_what_it_owes();
        invariant_no_path_pays_twice();
        invariant_roots_move_by_proofs_alone();
    }

    function _atLeast(uint256 least, string memory what) private view {
        vm.assertTrue(crowd.times(what) >= least, what);
    }

    function _refusedAtLeast(uint256 least, bytes4 refusal, string memory what) private view {
        vm.assertTrue(crowd.refusals(refusal) >= least, what);
    }

    /// @notice The crowd is one that the invariants are worth something with: in a long run, always the same, all that they
    /// are about happens, and all holds.
    /// forge-config: default.isolate = false
    function test_all_kinds_of_things_happen_in_the_crowd() external {
        bytes4[] memory deeds = crowd.deeds();
        for (uint256 i = 0; i < 1200; ++i) {
            uint256 dice = uint256(keccak256(abi.encode("crowd", i)));
            bytes4 deed = deeds[dice % deeds.length];
            (bool done,) =
                address(crowd).call(abi.encodePacked(deed, dice >> 16, dice >> 24, dice >> 32, dice >> 40));
            vm.assertTrue(done, "a deed that cannot be done");
            if (i % 100 == 0) _allHolds();
        }
        _allHolds();
        _clientsDidAll();
        _providersDidAll();
        _strangersDidAll();
        _allGetOut();
        _atLeast(4, "exit by proof, outrun");
    }

    function _clientsDidAll() private view {
        _atLeast(5, "deposit");
        _atLeast(5, "deposit for another");
        _atLeast(5, "withdrawal");
        _atLeast(5, "opening from the balance");
        _atLeast(5, "opening with value");
        _atLeast(5, "signed opening");
        _atLeast(5, "signed opening again");
        _atLeast(5, "several signed openings");
        _atLeast(3, "several signed openings, none taken");
        _atLeast(2, "unpublished order cancelled");
        _atLeast(5, "published order cancelled");
        _atLeast(5, "top-up from the balance");
        _atLeast(5, "top-up with value");
        _atLeast(5, "top-up by another");
        _atLeast(5, "top-up of what ran out");
        _atLeast(2, "end by the client");
        _atLeast(2, "end by the provider");
        _atLeast(5, "signed end");
        _atLeast(5, "review");
        _atLeast(2, "second review refused");
        _atLeast(1, "exit by refund");
        _atLeast(5, "exit by proof, in time");
        _atLeast(2, "exit by proof, outrun");
    }

    function _providersDidAll() private view {
        _atLeast(5, "provider's batch of 1");
        _atLeast(5, "provider's batch of 8");
        _atLeast(3, "provider's batch of 64");
        _atLeast(3, "provider's batch of 256");
        _atLeast(5, "bare insert");
        _atLeast(3, "insert and close without claim");
        _atLeast(5, "insert and claim");
        _atLeast(5, "insert, claim and close");
        _atLeast(3, "claim");
        _atLeast(5, "second claim");
        _atLeast(5, "claim and close");
        _atLeast(5, "close without claim");
        _atLeast(1, "demand met");
        _atLeast(2, "earnings collected");
        _atLeast(2, "earnings to a payout address");
        _atLeast(5, "refund");
        _atLeast(1, "refund of several");
        _refusedAtLeast(5, ILedger.MustClose.selector, "MustClose");
        _refusedAtLeast(2, ILedger.AboveDeposit.selector, "AboveDeposit");
        _refusedAtLeast(1, ILedger.OverdueMustClose.selector, "OverdueMustClose");
        _refusedAtLeast(5, ILedger.StaleRoot.selector, "StaleRoot");
        _refusedAtLeast(5, ILedger.LeaseClosed.selector, "LeaseClosed");
        _refusedAtLeast(2, ILedger.WrongLeaseState.selector, "WrongLeaseState");
        _refusedAtLeast(1, ILedger.WrongPayKey.selector, "WrongPayKey");
        _refusedAtLeast(2, ILedger.NotProviderLease.selector, "NotProviderLease");
    }

    function _strangersDidAll() private view {
        _atLeast(5, "stranger's batch");
        _atLeast(5, "demand");
        _atLeast(1, "refund by another");
        _atLeast(5, "replay refused");
        _atLeast(3, "exit from another root, refused");
        _atLeast(2, "exit not demanded, refused");
        _atLeast(5, "tampered batch refused");
        _refusedAtLeast(5, ILedger.NotAllowedYet.selector, "NotAllowedYet");
        _refusedAtLeast(1, ILedger.ProviderOnly.selector, "ProviderOnly");
        _refusedAtLeast(2, ILedger.AlreadyDemanded.selector, "AlreadyDemanded");
        _refusedAtLeast(5, ModelVerifier.ProofInvalid.selector, "ProofInvalid");
    }
}
