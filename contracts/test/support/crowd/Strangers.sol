// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../../../src/interfaces/ILedger.sol";
import {P} from "../../../src/libraries/BatchWords.sol";
import {CLOSE, Op} from "../../../src/libraries/PackedOps.sol";
import {vm} from "../Forge.sol";
import {Tree} from "../Tree.sol";
import {Batches} from "./Batches.sol";

/// @notice What anybody may do: closes and refunds of what is overdue, demands; and what nobody may: replays, statements
/// that were never proven.
abstract contract Strangers is Batches {
    /// @dev The closes of what is overdue get through.
    function othersSettle(uint256 of_, uint256 place, uint256 dice) external deed {
        (place, dice) = (_mixed(place), _mixed(dice));
        address by = providers[of_ % providers.length];
        Plan memory plan = dice % 2 == 0 ? _place(by, place) : _placeAtOverdue(by, place);
        plan.byOthers = true;
        Fault[4] memory faults = [Fault.Neglect, Fault.Early, Fault.Gone, Fault.Neglect];
        if ((dice >> 128) % 3 == 0) plan.fault = faults[(dice >> 136) % 4];
        _settle(clients[dice % clients.length], plan, _batch(plan, dice));
    }

    /// @dev Of a lease in the tree: refused before it is overdue, and the second time.
    function demands(uint256 which, uint256 dice) external deed {
        dice = _mixed(dice);
        uint256 leaseId = _pick(which, ILedger.State.Inserted, dice % 4 != 0);
        if (leaseId == 0) return;
        bool good = _isOverdue(leaseId) && ledger.demandedRootOf(leaseId) == 0;
        vm.assertTrue(_demands(leaseId) == good, "demand");
        if (good) _happens("demand");
    }

    /// @dev Of leases that are in no tree: refused before they are overdue.
    function othersRefund(uint256 which, uint256 dice) external deed {
        dice = _mixed(dice);
        uint256 leaseId = _pick(which, ILedger.State.Locked, dice % 4 != 0);
        if (leaseId == 0) return;
        bool good = _isOverdue(leaseId);
        vm.assertTrue(_refunds(stranger, leaseId) == good, "refund by another");
        if (good) _happens("refund by another");
    }

    /// @dev Sends a batch that was taken before once more: nothing may come of it.
    function replays(uint256 which) external deed {
        if (_sent.length == 0) return;
        uint256 i = which % _sent.length;
        bytes32 before = _books();
        bool taken = _sends(_senders[i], _sent[i]);
        vm.assertTrue(!taken || _books() == before, "a replay changed the books");
        if (!taken) _happens("replay refused");
    }

    /// @dev Sends a proven batch with something changed: it must be refused, unless that was proven before.
    function tampers(uint256 with, uint256 place, uint256 dice, uint256 how) external deed {
        (place, dice, how) = (_mixed(place), _mixed(dice), _mixed(how));
        Plan memory plan = _place(providers[with % providers.length], place);
        Op[] memory ops = _batch(plan, dice);
        if (ops.length == 0) return;
        uint256 root = _roots[plan.of_][plan.version];
        uint256[2] memory to = _prove(root, plan, ops);
        Op memory op = ops[dice % ops.length];
        if (how % 6 == 0) op.amount += 1;
        if (how % 6 == 1) op.numSeconds += 1;
        if (how % 6 == 2) (op.flags, op.reason) = (op.flags ^ CLOSE, 0);
        if (how % 6 == 3) plan.window += 1;
        if (how % 6 == 4) to[0] = (to[0] + 1) % P;
        if (how % 6 == 5) to[1] += 1;
        if (_verifierOf(plan.size).proven(_inputs(root, plan, to, ops))) {
            _happens("tampered into what is true");
            return;
        }
        vm.assertFalse(_sends(plan.of_, _text(root, plan, to, ops)), "a tampered batch was taken");
        _happens("tampered batch refused");
    }

    /// @dev Any client, once its lease is overdue, gets out whatever its provider does: first of all one whose demanded
    /// root the shard has left.
    function leaves(uint256 which, uint256 dice) external deed {
        dice = _mixed(dice);
        uint256 leaseId = _leftBehind(which);
        ILedger.State state = dice % 4 == 0 ? ILedger.State.Locked : ILedger.State.Inserted;
        if (leaseId == 0) leaseId = _pick(which, state, true);
        if (leaseId != 0) exit(leaseId, dice >> 8);
    }

    /// @dev A client, or anybody, that would close a lease as it stood at some other root than the present and the demanded:
    /// there less of it was claimed.
    function leavesFromThePast(uint256 which, uint256 dice) external deed {
        uint256 leaseId = _leftBehind(which);
        if (leaseId == 0) leaseId = _pick(which, ILedger.State.Inserted, true);
        if (leaseId == 0) return;
        Plan memory plan;
        (plan.of_, plan.size, plan.window) = (_orders[leaseId].provider, 1, indexOf[leaseId]);
        Tree tree = trees[plan.of_];
        Tree.Leaf memory leaf;
        uint256 last = tree.version();
        for (plan.version = _mixed(dice) % (last + 1); plan.version < last; ++plan.version) {
            uint256 root = _roots[plan.of_][plan.version];
            if (root == tree.root() || root == ledger.demandedRootOf(leaseId)) continue;
            leaf = tree.leafAt(plan.window, plan.version);
            if (leaf.leaseId == leaseId) break;
        }
        if (plan.version == last) return;
        Op memory op = opOf(leaseId, CLOSE, uint96(leaf.amount));
        op.numSeconds = leaf.numSeconds;
        vm.assertFalse(_settle(stranger, plan, one(op)), "an exit from another root");
        _happens(
            ledger.demandedRootOf(leaseId) == 0
                ? "exit not demanded, refused"
                : "exit from another root, refused"
        );
    }

    function _leftBehind(uint256 which) private view returns (uint256) {
        for (uint256 i = 0; i < leases.length; ++i) {
            uint256 leaseId = leases[(which % leases.length + i) % leases.length];
            uint256 root = ledger.demandedRootOf(leaseId);
            if (root != 0 && _isOpen(leaseId) && root != rootOf(_orders[leaseId].provider)) return leaseId;
        }
        return 0;
    }

    /// @notice The client leaves with what is its own; the provider, and who is in league with it, may move the root as
    /// often as the contracts let them, demand other closes before, and close leases of their own.
    function exit(uint256 leaseId, uint256 dice) public {
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        if (!_isOpen(leaseId) || vm.getBlockTimestamp() < lease.overdueAt) return;
        uint256 due = lease.deposit - claimed[leaseId];
        uint256 before = ledger.balanceOf(lease.client);
        if (lease.state == ILedger.State.Locked) {
            vm.assertTrue(_refunds(lease.client, leaseId), "a client gets no refund");
            _happens("exit by refund");
        } else {
            bool hindered = dice % 3 != 0;
            if (hindered && dice % 2 == 0) _hinder(lease.provider, leaseId, 1, dice >> 8);
            if (ledger.demandedRootOf(leaseId) == 0) vm.assertTrue(_demands(leaseId), "demand by a client");
            if (hindered) _hinder(lease.provider, leaseId, 2, dice >> 16);
            before = ledger.balanceOf(lease.client);
            _exits(leaseId, lease);
        }
        vm.assertEq(ledger.balanceOf(lease.client) - before, due);
        vm.assertEq(uint256(ledger.leaseOf(leaseId).state), uint256(ILedger.State.Closed));
    }

    /// @dev By a proof from the demanded root, of which nothing but the leaf is needed.
    function _exits(uint256 leaseId, ILedger.Lease memory lease) private {
        uint256 known = ledger.demandedRootOf(leaseId);
        bool outrun = known != trees[lease.provider].root();
        Plan memory plan;
        (plan.of_, plan.size, plan.window) = (lease.provider, 1, indexOf[leaseId]);
        plan.version = trees[lease.provider].versionOf(known);
        Op memory op = opOf(leaseId, CLOSE, uint96(claimed[leaseId]));
        op.numSeconds = trees[lease.provider].leafAt(plan.window, plan.version).numSeconds;
        vm.assertTrue(_settle(lease.client, plan, one(op)), "a client cannot get out");
        _happens(outrun ? "exit by proof, outrun" : "exit by proof, in time");
    }

    /// @dev Whatever moves the root but the close that is wanted: batches by the provider and by others who close what
    /// is overdue, and demands of other closes.
    function _hinder(address by, uint256 wanted, uint256 rounds, uint256 dice) private {
        for (uint256 i = 0; i < rounds; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(dice, i)));
            Plan memory plan = _place(by, seed >> 64);
            _settle(by, plan, _without(_batch(plan, seed), wanted));
            _demands(leases[seed % leases.length]);
            plan = _placeAtOverdue(by, seed >> 128);
            plan.byOthers = true;
            _settle(stranger, plan, _without(_batch(plan, seed >> 8), wanted));
        }
    }

    function _demands(uint256 leaseId) private returns (bool) {
        return _sends(stranger, abi.encodeCall(ledger.demandClose, (leaseId)));
    }

    function _refunds(address by, uint256 leaseId) private returns (bool) {
        return _sends(by, abi.encodeCall(ledger.refund, (_only(leaseId))));
    }
}
