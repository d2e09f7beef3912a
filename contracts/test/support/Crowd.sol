// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Ledger} from "../../src/Ledger.sol";
import {Market} from "../../src/Market.sol";
import {ILedger} from "../../src/interfaces/ILedger.sol";
import {IMarket} from "../../src/interfaces/IMarket.sol";
import {P} from "../../src/libraries/BatchWords.sol";
import {Acceptance, Order} from "../../src/libraries/Messages.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../../src/libraries/PackedOps.sol";
import {Fixture} from "./Fixture.sol";
import {bound, vm} from "./Forge.sol";
import {ModelVerifier, Tree} from "./Tree.sol";

/// @notice Clients and providers that do anything they may, in any order, with a proof of all that is provable. Keeps
/// beside the contracts what they should hold: the trees, and who put in, earned and took out how much.
contract Crowd is Fixture {
    uint256 private constant WINDOWS = 3;

    address[3] public clients;
    address[2] public providers;
    mapping(address provider => Tree tree) public trees;
    uint256[] public leases;
    mapping(uint256 leaseId => uint256 nonce) private _nonceOf;
    mapping(uint256 leaseId => uint256 index) public indexOf;
    mapping(uint256 leaseId => uint256 amount) public claimed;
    mapping(address client => uint256 amount) public putIn;
    mapping(address client => uint256 amount) public tookOut;
    mapping(address provider => uint256 amount) public earnedBy;
    mapping(address provider => uint256 amount) public collectedBy;
    /// @dev How often what matters came about: batches taken, exits by proof, those of them whose demanded root the
    /// shard had left, batches refused, replays refused.
    uint256 public moves;
    uint256 public exits;
    uint256 public outrun;
    uint256 public refused;
    uint256 public replaysRefused;
    ModelVerifier[4] private _verifiers;
    Order[] private _orders;
    bytes[] private _sent;
    address[] private _senders;

    constructor(Market market_, ModelVerifier[4] memory verifiers) {
        market = market_;
        ledger = Ledger(address(market_.ledger()));
        _verifiers = verifiers;
        for (uint256 i = 0; i < clients.length; ++i) {
            clients[i] = vm.addr(CLIENT_SECRET + i);
        }
        for (uint256 i = 0; i < providers.length; ++i) {
            providers[i] = vm.addr(PROVIDER_SECRET + i);
            trees[providers[i]] = new Tree();
        }
    }

    /// @dev The market is given.
    function setUp() public override {}

    function leaseCount() external view returns (uint256) {
        return leases.length;
    }

    // Clients

    function deposits(uint256 who, uint96 amount) external {
        address by = clients[who % clients.length];
        uint256 value = bound(amount, 0, 100 * uint256(COLLATERAL));
        vm.deal(by, by.balance + value);
        vm.prank(by);
        ledger.deposit{value: value}();
        putIn[by] += value;
    }

    function withdraws(uint256 who, uint256 amount) external {
        address by = clients[who % clients.length];
        uint256 value = bound(amount, 0, ledger.balanceOf(by));
        vm.prank(by);
        ledger.withdraw(value);
        tookOut[by] += value;
    }

    function opens(uint256 who, uint256 with, uint96 price) external {
        address by = clients[who % clients.length];
        Order memory order = orderOf(uint64(_orders.length));
        (order.client, order.provider) = (by, providers[with % providers.length]);
        order.price = uint96(bound(price, 0, PRICE));
        order.deadline = type(uint64).max;
        if (ledger.balanceOf(by) < uint256(order.price) * order.maxSeconds) return;
        Acceptance memory acceptance = acceptanceOf(order);
        acceptance.deadline = type(uint64).max;
        vm.prank(by);
        uint256 leaseId = market.createOrder(order);
        vm.prank(order.provider);
        market.acceptOrder(order, acceptance);
        vm.prank(by);
        market.confirmOrder(order, acceptance);
        leases.push(leaseId);
        _nonceOf[leaseId] = _orders.length;
        _orders.push(order);
    }

    function topsUp(uint256 which, uint32 extra, bool byValue) external {
        if (leases.length == 0) return;
        uint256 leaseId = leases[which % leases.length];
        Order memory order = _orders[_nonceOf[leaseId]];
        if (!_isOpen(leaseId) || uint256(market.leaseOf(leaseId).state) != uint256(IMarket.State.Open)) {
            return;
        }
        if (vm.getBlockTimestamp() >= ledger.leaseOf(leaseId).overdueAt) return;
        uint64 extraSeconds = uint64(bound(extra, 1, 1 days));
        uint256 cost = uint256(order.price) * extraSeconds;
        if (byValue && cost > 0) {
            vm.deal(address(this), cost);
            market.topUp{value: cost}(order, extraSeconds);
            putIn[order.client] += cost;
        } else if (ledger.balanceOf(order.client) >= cost) {
            vm.prank(order.client);
            market.topUp(order, extraSeconds);
        }
    }

    function ends(uint256 which, bool byClient) external {
        if (leases.length == 0) return;
        uint256 leaseId = leases[which % leases.length];
        if (uint256(market.leaseOf(leaseId).state) != uint256(IMarket.State.Open)) return;
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        vm.prank(byClient ? lease.client : lease.provider);
        market.endLease(leaseId, 1);
    }

    function waits(uint32 numSeconds) external {
        vm.warp(vm.getBlockTimestamp() + bound(numSeconds, 0, 2 days));
    }

    // Providers

    function collects(uint256 with) external {
        address by = providers[with % providers.length];
        if (owedTo(by) == 0) return;
        vm.prank(by);
        collectedBy[by] += ledger.collect();
    }

    function refunds(uint256 which) external {
        if (leases.length == 0) return;
        uint256 leaseId = leases[which % leases.length];
        if (ledger.leaseOf(leaseId).state != ILedger.State.Locked) return;
        _refund(ledger.leaseOf(leaseId).provider, leaseId);
    }

    /// @dev A batch of anything provable on some of the provider's leases; the contracts may refuse it.
    function settles(uint256 with, uint256 window, uint256 dice) external {
        address by = providers[with % providers.length];
        Op[] memory ops = _batch(by, window % WINDOWS, dice);
        if (ops.length > 0) _settle(by, by, trees[by].root(), window % WINDOWS, 8, ops);
    }

    /// @dev Others send batches too: the closes of what is overdue get through.
    function othersSettle(uint256 with, uint256 window, uint256 dice) external {
        address of_ = providers[with % providers.length];
        Op[] memory ops = _batch(of_, window % WINDOWS, dice);
        for (uint256 i = 0; i < ops.length; ++i) {
            ops[i].flags |= CLOSE;
        }
        if (ops.length > 0) {
            _settle(clients[dice % clients.length], of_, trees[of_].root(), window % WINDOWS, 8, ops);
        }
    }

    /// @dev Sends a batch that was taken before once more: nothing may come of it.
    function replays(uint256 which) external {
        if (_sent.length == 0) return;
        uint256 i = which % _sent.length;
        bytes32 before = _books();
        vm.prank(_senders[i]);
        (bool taken,) = address(ledger).call(_sent[i]);
        vm.assertTrue(!taken || _books() == before, "a replay changed the books");
        if (!taken) ++replaysRefused;
    }

    /// @dev Sends a proven batch with something changed: it must be refused.
    function tampers(uint256 with, uint256 window, uint256 dice, uint256 how) external {
        address by = providers[with % providers.length];
        Op[] memory ops = _batch(by, window % WINDOWS, dice);
        if (ops.length == 0) return;
        uint256 root = trees[by].root();
        uint256[2] memory to; // new root, earned
        (to[0], to[1]) = trees[by].prove(root, window % WINDOWS, 8, ops);
        _approve(root, to, window % WINDOWS, 8, ops);
        uint256[6] memory delta;
        delta[how % 6] = 1;
        Op memory op = ops[dice % ops.length];
        if (delta[0] == 1) op.amount += 1;
        if (delta[1] == 1) op.numSeconds += 1;
        if (delta[2] == 1) (op.flags, op.reason) = (op.flags ^ CLOSE, 0);
        vm.prank(by);
        (bool taken,) = address(ledger)
            .call(
                abi.encodeCall(
                    ledger.settle,
                    (
                        by,
                        uint32(window % WINDOWS + delta[3]),
                        8,
                        root,
                        (to[0] + delta[4]) % P,
                        to[1] + delta[5],
                        packed(ops),
                        1,
                        _noProof()
                    )
                )
            );
        vm.assertFalse(taken, "a tampered batch was taken");
    }

    // The way out

    /// @dev Any client, once its lease is overdue, gets out whatever its provider does.
    function leaves(uint256 which, uint256 dice) external {
        if (leases.length > 0) exit(leases[which % leases.length], dice);
    }

    /// @notice The client leaves with what is its own; the provider, and who is in league with it, may move the root as
    /// often as the contracts let them, demand other closes before, and close leases of their own.
    function exit(uint256 leaseId, uint256 dice) public {
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        if (!_isOpen(leaseId) || vm.getBlockTimestamp() < lease.overdueAt) return;
        uint256 due = lease.deposit - claimed[leaseId];
        uint256 before = ledger.balanceOf(lease.client);
        if (lease.state == ILedger.State.Locked) {
            _refund(lease.client, leaseId);
        } else {
            _hinder(lease.provider, leaseId, dice);
            if (ledger.demandedRootOf(leaseId) == 0) ledger.demandClose(leaseId);
            uint256 known = ledger.demandedRootOf(leaseId);
            _hinder(lease.provider, leaseId, dice >> 8);
            before = ledger.balanceOf(lease.client);
            uint256 index = indexOf[leaseId];
            Op memory op = opOf(leaseId, CLOSE, uint96(claimed[leaseId]));
            op.numSeconds = trees[lease.provider].leafAt(index, trees[lease.provider].version()).numSeconds;
            vm.assertTrue(
                _settle(lease.client, lease.provider, known, index, 1, one(op)), "a client cannot get out"
            );
            ++exits;
            if (known != trees[lease.provider].root()) ++outrun;
        }
        vm.assertEq(ledger.balanceOf(lease.client) - before, due);
    }

    /// @dev Whatever moves the root but the close that is wanted: batches by the provider and by others who close what
    /// is overdue, and demands of other closes.
    function _hinder(address by, uint256 wanted, uint256 dice) private {
        for (uint256 i = 0; i < WINDOWS; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(dice, i)));
            Op[] memory ops = _without(_batch(by, i, seed), wanted);
            if (ops.length > 0) _settle(by, by, trees[by].root(), i, 8, ops);
            uint256 leaseId = leases[seed % leases.length];
            (bool demanded,) = address(ledger).call(abi.encodeCall(ledger.demandClose, (leaseId)));
            ops = _without(_batch(by, i, seed >> 8), wanted);
            for (uint256 j = 0; j < ops.length; ++j) {
                ops[j].flags |= CLOSE;
            }
            address other = clients[demanded ? 0 : 1];
            if (ops.length > 0) _settle(other, by, trees[by].root(), i, 8, ops);
        }
    }

    // How it is done

    function _isOpen(uint256 leaseId) private view returns (bool) {
        ILedger.State state = ledger.leaseOf(leaseId).state;
        return state == ILedger.State.Locked || state == ILedger.State.Inserted;
    }

    function _refund(address by, uint256 leaseId) private {
        uint256[] memory leaseIds = new uint256[](1);
        leaseIds[0] = leaseId;
        vm.prank(by);
        ledger.refund(leaseIds);
    }

    /// @dev For each slot of the window by the dice: nothing, an operation on the lease in it, or a lease into it.
    function _batch(address of_, uint256 window, uint256 dice) private view returns (Op[] memory ops) {
        Tree tree = trees[of_];
        Op[] memory some = new Op[](8);
        uint256 count;
        uint256 next = dice % (leases.length + 1);
        for (uint256 slot = 0; slot < 8; ++slot) {
            uint256 roll = uint256(keccak256(abi.encode(dice, slot)));
            if (roll % 3 == 0) continue;
            Tree.Leaf memory leaf = tree.leafAt(window * 8 + slot, tree.version());
            Op memory op;
            if (leaf.leaseId != 0) {
                if (!_isOpen(leaf.leaseId)) continue; // closed by an exit: there for ever
                op = opOf(leaf.leaseId, CLAIM, uint96(leaf.amount));
                op.numSeconds = leaf.numSeconds;
            } else {
                while (next < leases.length && !_insertable(of_, leases[next])) ++next;
                if (next >= leases.length) continue;
                op = opOf(leases[next++], INSERT | CLAIM, 0);
                op.numSeconds = 0;
            }
            // Sometimes a little above the deposit, which the contracts refuse.
            uint256 most = uint256(ledger.leaseOf(op.leaseId).deposit) + (roll % 41 == 0 ? 1 : 0);
            op.amount = bound(roll >> 16, op.amount, most < op.amount ? op.amount : most);
            op.numSeconds += roll % 100;
            if ((roll >> 8) % 4 == 0 || _isOverdue(op.leaseId)) op.flags |= CLOSE;
            op.slot = slot;
            some[count++] = op;
        }
        ops = new Op[](count);
        for (uint256 i = 0; i < count; ++i) {
            ops[i] = some[i];
        }
    }

    /// @dev Two of the operations, but none on that lease.
    function _without(Op[] memory ops, uint256 leaseId) private pure returns (Op[] memory rest) {
        uint256 count;
        rest = new Op[](ops.length);
        for (uint256 i = 0; i < ops.length; ++i) {
            if (ops[i].leaseId != leaseId && count < 2) rest[count++] = ops[i];
        }
        assembly ("memory-safe") {
            mstore(rest, count)
        }
    }

    function _insertable(address of_, uint256 leaseId) private view returns (bool) {
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        return lease.provider == of_ && lease.state == ILedger.State.Locked;
    }

    function _isOverdue(uint256 leaseId) private view returns (bool) {
        return vm.getBlockTimestamp() >= ledger.leaseOf(leaseId).overdueAt;
    }

    /// @dev Proves and sends the batch, and if it is taken books it here too.
    function _settle(address sender, address of_, uint256 root, uint256 window, uint16 size, Op[] memory ops)
        private
        returns (bool taken)
    {
        uint256[2] memory to; // new root, earned
        (to[0], to[1]) = trees[of_].prove(root, window, size, ops);
        _approve(root, to, window, size, ops);
        bytes memory text = abi.encodeCall(
            ledger.settle, (of_, uint32(window), size, root, to[0], to[1], packed(ops), 1, _noProof())
        );
        bool moves_ = root == trees[of_].root();
        vm.prank(sender);
        (taken,) = address(ledger).call(text);
        if (!taken) {
            ++refused;
            return false;
        }
        _sent.push(text);
        _senders.push(sender);
        earnedBy[of_] += to[1];
        for (uint256 i = 0; i < ops.length; ++i) {
            claimed[ops[i].leaseId] = ops[i].amount;
            indexOf[ops[i].leaseId] = window * size + ops[i].slot;
        }
        if (moves_) {
            trees[of_].apply_(to[0], window, size, ops);
            ++moves;
        }
    }

    /// @dev Has the verifier of that size take the batch's public inputs.
    function _approve(uint256 root, uint256[2] memory to, uint256 window, uint256 size, Op[] memory ops)
        private
    {
        uint256[] memory words = new uint256[](5 + 4 * size);
        words[0] = ledger.domain();
        words[1] = root;
        words[2] = to[0];
        words[3] = window + to[1] * 2 ** 32;
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
        _verifiers[size == 1 ? 0 : 1].prove([1, r, e]);
    }

    function _noProof() private pure returns (uint256[8] memory proof) {}

    /// @dev A digest of all that a settlement may change.
    function _books() private view returns (bytes32 digest) {
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
