// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ILedger} from "../../../src/interfaces/ILedger.sol";
import {P} from "../../../src/libraries/BatchWords.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../../../src/libraries/PackedOps.sol";
import {bound, vm} from "../Forge.sol";
import {ModelVerifier, Tree} from "../Tree.sol";
import {Books} from "./Books.sol";

/// @notice Batches of anything provable, in all four sizes, with their proofs: what the dice make, and how it is sent and booked.
abstract contract Batches is Books {
    /// @dev What a batch has that the contracts refuse, though it can be proven.
    enum Fault {
        None,
        Above, // a claim above the deposit
        Neglect, // what is overdue, not closed
        Gone, // a lease that left by an exit, and whose leaf stays
        Again, // a lease that is in the tree already
        Key, // an insert with another key
        Foreign, // another provider's lease
        Early // by others, though not overdue
    }

    /// @param version Of the tree: the one that the batch starts from.
    /// @param byOthers Closes of what is overdue, and nothing else.
    struct Plan {
        address of_;
        uint256 window;
        uint256 size;
        uint256 version;
        bool byOthers;
        Fault fault;
    }

    uint256 private constant TREE_LEAVES = 1 << 20;
    /// @dev The leaves in use are the first 24 and the tree's last ones.
    uint256 internal constant LOW_LEAVES = 24;

    bytes[] internal _sent;
    address[] internal _senders;
    /// @dev By version: where the provider's tree stood.
    mapping(address provider => uint256[] roots) internal _roots;
    ModelVerifier[4] private _verifiers;

    constructor(ModelVerifier[4] memory verifiers) {
        _verifiers = verifiers;
        for (uint256 i = 0; i < providers.length; ++i) {
            _roots[providers[i]].push(trees[providers[i]].root());
        }
    }

    /// @dev Where a batch of some size may go: among the first leaves, or to the tree's last ones.
    function _place(address of_, uint256 dice) internal view returns (Plan memory plan) {
        uint256[8] memory sizes = [uint256(8), 8, 8, 8, 1, 1, 64, 256];
        (plan.of_, plan.size, plan.version) = (of_, sizes[dice % 8], trees[of_].version());
        uint256 low = plan.size < LOW_LEAVES ? LOW_LEAVES / plan.size : 1;
        dice = (dice >> 8) % (low + 1);
        plan.window = dice < low ? dice : TREE_LEAVES / plan.size - 1;
    }

    /// @dev As `_place`, but where a lease of the provider's is overdue if one is found.
    function _placeAtOverdue(address of_, uint256 dice) internal view returns (Plan memory plan) {
        plan = _place(of_, dice);
        uint256 leaseId = _pick(dice >> 32, ILedger.State.Inserted, true);
        if (leaseId == 0 || ledger.leaseOf(leaseId).provider != of_) return plan;
        (plan.size, plan.window) = (8, indexOf[leaseId] / 8);
    }

    /// @dev For each slot in use by the dice: nothing, an operation on the lease in it, or a lease into it.
    function _batch(Plan memory plan, uint256 dice) internal view returns (Op[] memory ops) {
        uint256 slots = plan.size > LOW_LEAVES ? LOW_LEAVES + 1 : plan.size;
        ops = new Op[](slots);
        uint256 count;
        uint256 next = dice % (leases.length + 1);
        for (uint256 i = 0; i < slots; ++i) {
            uint256 slot = i < LOW_LEAVES ? i : plan.size - 1;
            uint256 roll = uint256(keccak256(abi.encode(dice, slot)));
            if (plan.size > 1 && roll % 3 == 0) continue;
            Tree.Leaf memory leaf = trees[plan.of_].leafAt(plan.window * plan.size + slot, plan.version);
            bool inserts = leaf.leaseId == 0;
            if (inserts) {
                while (next < leases.length && !_fitsIn(plan, leases[next])) ++next;
                if (next >= leases.length) continue;
                leaf.leaseId = leases[next++];
            } else if (!_isOpen(leaf.leaseId) && plan.fault != Fault.Gone) {
                continue;
            }
            Op memory op = _op(plan, leaf, inserts, roll >> 8);
            if (plan.byOthers && plan.fault != Fault.Early && !_isOverdue(op.leaseId)) continue;
            op.slot = slot;
            if (op.flags != 0) ops[count++] = op;
        }
        _cut(ops, count);
    }

    /// @dev What the circuit may be asked of the leaf; no flags if nothing.
    function _op(Plan memory plan, Tree.Leaf memory leaf, bool inserts, uint256 roll)
        private
        view
        returns (Op memory op)
    {
        bool claims = roll % 3 != 0;
        bool closes = (roll >> 8) % 6 == 0 || plan.byOthers || _isOverdue(leaf.leaseId);
        if (plan.fault == Fault.Neglect) closes = false;
        op.flags = (inserts ? INSERT : 0) | (claims ? CLAIM : 0) | (closes ? CLOSE : 0);
        (op.leaseId, op.amount, op.numSeconds) = (leaf.leaseId, leaf.amount, leaf.numSeconds);
        if (inserts) (op.payKeyX, op.payKeyY) = (KEY_X, KEY_Y + (plan.fault == Fault.Key ? 1 : 0));
        if (closes) op.reason = (roll >> 16) % 10;
        if (!claims) return op;
        uint256 most = ledger.leaseOf(op.leaseId).deposit;
        op.amount = (roll >> 24) % 8 == 0 ? most : bound(roll >> 32, op.amount, most);
        if (plan.fault == Fault.Above) op.amount = most + 1;
        op.numSeconds += (roll >> 16) % 100;
    }

    function _fitsIn(Plan memory plan, uint256 leaseId) private view returns (bool) {
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        if ((lease.provider == plan.of_) == (plan.fault == Fault.Foreign)) return false;
        return lease.state == (plan.fault == Fault.Again ? ILedger.State.Inserted : ILedger.State.Locked);
    }

    /// @dev The first of the operations that is not on that lease.
    function _without(Op[] memory ops, uint256 leaseId) internal pure returns (Op[] memory) {
        for (uint256 i = 0; i < ops.length; ++i) {
            if (ops[i].leaseId != leaseId) return one(ops[i]);
        }
        return new Op[](0);
    }

    function _cut(Op[] memory ops, uint256 count) private pure {
        assembly ("memory-safe") {
            mstore(ops, count)
        }
    }

    /// @dev Proves and sends the batch, and if it is taken books it here too.
    function _settle(address sender, Plan memory plan, Op[] memory ops) internal returns (bool taken) {
        if (ops.length == 0) return false;
        Tree tree = trees[plan.of_];
        uint256 root = _roots[plan.of_][plan.version];
        bool moves = root == tree.root();
        uint256[2] memory to = _prove(root, plan, ops);
        bytes memory text = _text(root, plan, to, ops);
        taken = _sends(sender, text);
        if (!taken) {
            if (sender == plan.of_) _happens("provider's batch refused");
            return false;
        }
        _sent.push(text);
        _senders.push(sender);
        _count(sender, plan, ops);
        earnedBy[plan.of_] += to[1];
        for (uint256 i = 0; i < ops.length; ++i) {
            claimed[ops[i].leaseId] = ops[i].amount;
            indexOf[ops[i].leaseId] = plan.window * plan.size + ops[i].slot;
        }
        if (!moves) return true;
        tree.apply_(to[0], plan.window, plan.size, ops);
        _roots[plan.of_].push(to[0]);
    }

    /// @dev Counts what a batch did that was taken, before it is booked.
    function _count(address sender, Plan memory plan, Op[] memory ops) private {
        if (sender != plan.of_) _happens("stranger's batch");
        else if (plan.size == 1) _happens("provider's batch of 1");
        else if (plan.size == 8) _happens("provider's batch of 8");
        else if (plan.size == 64) _happens("provider's batch of 64");
        else _happens("provider's batch of 256");
        for (uint256 i = 0; i < ops.length; ++i) {
            Op memory op = ops[i];
            if (op.flags == INSERT) _happens("bare insert");
            else if (op.flags == INSERT | CLOSE) _happens("insert and close without claim");
            else if (op.flags == INSERT | CLAIM) _happens("insert and claim");
            else if (op.flags == INSERT | CLAIM | CLOSE) _happens("insert, claim and close");
            else if (op.flags == CLOSE) _happens("close without claim");
            else if (op.flags == CLAIM | CLOSE) _happens("claim and close");
            else _happens("claim");
            if (op.flags & INSERT == 0 && claimed[op.leaseId] > 0 && op.amount > claimed[op.leaseId]) {
                _happens("second claim");
            }
        }
    }

    /// @dev Where the batch leads and what it earns, with a proof that the verifier of its size takes.
    function _prove(uint256 root, Plan memory plan, Op[] memory ops) internal returns (uint256[2] memory to) {
        (to[0], to[1]) = trees[plan.of_].prove(root, plan.window, plan.size, ops);
        _verifierOf(plan.size).prove(_inputs(root, plan, to, ops));
    }

    function _verifierOf(uint256 size) internal view returns (ModelVerifier) {
        return _verifiers[size == 1 ? 0 : size == 8 ? 1 : size == 64 ? 2 : 3];
    }

    function _text(uint256 root, Plan memory plan, uint256[2] memory to, Op[] memory ops)
        internal
        view
        returns (bytes memory)
    {
        uint256[8] memory proof;
        return abi.encodeCall(
            ledger.settle,
            (plan.of_, uint32(plan.window), uint16(plan.size), root, to[0], to[1], packed(ops), 1, proof)
        );
    }

    /// @dev The public inputs of that statement about the batch.
    function _inputs(uint256 root, Plan memory plan, uint256[2] memory to, Op[] memory ops)
        internal
        view
        returns (uint256[3] memory)
    {
        uint256[] memory words = new uint256[](5 + 4 * plan.size);
        words[0] = ledger.domain();
        words[1] = root;
        words[2] = to[0];
        words[3] = plan.window + to[1] * 2 ** 32;
        for (uint256 i = 0; i < ops.length; ++i) {
            uint256 at = 4 + 4 * ops[i].slot;
            words[at] = ops[i].leaseId + ops[i].flags * 2 ** 248;
            words[at + 1] = ops[i].amount + ops[i].numSeconds * 2 ** 96;
            words[at + 2] = ops[i].payKeyX;
            words[at + 3] = ops[i].payKeyY;
        }
        words[words.length - 1] = 1;
        uint256 r = uint256(keccak256(abi.encodePacked(words))) % P;
        uint256 e;
        for (uint256 i = words.length - 1; i > 0; --i) {
            e = addmod(mulmod(e, r, P), words[i - 1], P);
        }
        return [1, r, e];
    }

    /// @dev A digest of all that a settlement may change.
    function _books() internal view returns (bytes32 digest) {
        for (uint256 i = 0; i < providers.length; ++i) {
            (uint256 root, uint256 owed, uint256 demanded) = ledger.shardOf(providers[i]);
            digest = keccak256(abi.encode(digest, root, owed, demanded, ledger.heldOf(providers[i])));
        }
        for (uint256 i = 0; i < clients.length; ++i) {
            digest = keccak256(abi.encode(digest, ledger.balanceOf(clients[i])));
        }
        for (uint256 i = 0; i < leases.length; ++i) {
            digest = keccak256(abi.encode(digest, ledger.leaseOf(leases[i])));
        }
    }
}
