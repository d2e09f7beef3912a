// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Ledger} from "../src/Ledger.sol";
import {Market} from "../src/Market.sol";
import {ILedger} from "../src/interfaces/ILedger.sol";
import {Acceptance, Order} from "../src/libraries/Messages.sol";
import {Fixture} from "./support/Fixture.sol";
import {bound, vm} from "./support/Forge.sol";

/// @notice Clients and providers that do anything they may, in any order; keeps the tree of lease balances beside them.
/// @dev The verifier takes every proof, so what a proof vouches for (the previous amount is the leaf's) is kept here.
contract Crowd is Fixture {
    address[3] public clients;
    address[2] public providers;
    uint256[] public leases;
    mapping(uint256 leaseId => uint96 amount) public claimed;
    mapping(uint256 leaseId => bool inserted) public isInserted;
    uint256 public deposited;
    uint256 public withdrawn;
    uint256 public collected;
    uint64 private _nonce;

    constructor(Market market_) {
        market = market_;
        ledger = Ledger(address(market_.ledger()));
        for (uint256 i = 0; i < clients.length; ++i) {
            clients[i] = vm.addr(CLIENT_SECRET + i);
        }
        for (uint256 i = 0; i < providers.length; ++i) {
            providers[i] = vm.addr(PROVIDER_SECRET + i);
        }
    }

    /// @dev The market is given.
    function setUp() public override {}

    function leaseCount() external view returns (uint256) {
        return leases.length;
    }

    function deposits(uint256 who, uint96 amount) external {
        address by = clients[who % clients.length];
        uint256 value = bound(amount, 0, 100 * uint256(COLLATERAL));
        vm.deal(by, by.balance + value);
        vm.prank(by);
        ledger.deposit{value: value}();
        deposited += value;
    }

    function withdraws(uint256 who, uint256 amount) external {
        address by = clients[who % clients.length];
        uint256 value = bound(amount, 0, ledger.balanceOf(by));
        vm.prank(by);
        ledger.withdraw(value);
        withdrawn += value;
    }

    function opens(uint256 who, uint256 with, uint96 price) external {
        address by = clients[who % clients.length];
        Order memory order = orderOf(_nonce++);
        (order.client, order.provider) = (by, providers[with % providers.length]);
        order.price = uint96(bound(price, 0, PRICE));
        order.deadline = type(uint64).max;
        if (ledger.balanceOf(by) < uint256(order.price) * order.maxSeconds) return;
        Acceptance memory acceptance = acceptanceOf(order);
        acceptance.deadline = type(uint64).max;
        vm.prank(by);
        leases.push(market.createOrder(order));
        vm.prank(order.provider);
        market.acceptOrder(order, acceptance);
        vm.prank(by);
        market.confirmOrder(order, acceptance);
    }

    /// @dev The provider inserts all that waits in its queue, one by one.
    function inserts(uint256 with) external {
        _insertAll(providers[with % providers.length], providers[with % providers.length]);
    }

    function claims(uint256 which, uint96 more, bool closes) external {
        if (leases.length == 0) return;
        uint256 leaseId = leases[which % leases.length];
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        if (lease.closed || !isInserted[leaseId]) return;
        uint96 amount = uint96(bound(more, claimed[leaseId], lease.deposit));
        _settle(lease.provider, lease.provider, leaseId, closes ? CLAIM | CLOSE : CLAIM, amount);
    }

    function ends(uint256 which, bool byClient) external {
        if (leases.length == 0) return;
        uint256 leaseId = leases[which % leases.length];
        if (uint256(market.leaseOf(leaseId).state) != 3) return;
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        vm.prank(byClient ? lease.client : lease.provider);
        market.endLease(leaseId, 1);
    }

    function collects(uint256 with) external {
        address by = providers[with % providers.length];
        uint256 owed = owedTo(by);
        if (owed == 0) return;
        vm.prank(by);
        collected += ledger.collect();
    }

    function waits(uint32 numSeconds) external {
        vm.warp(vm.getBlockTimestamp() + bound(numSeconds, 0, 2 days));
    }

    /// @dev Any client, once its lease is overdue, gets out without its provider.
    function exits(uint256 which) external {
        if (leases.length > 0) exit(leases[which % leases.length]);
    }

    function exit(uint256 leaseId) public {
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        if (lease.client == address(0) || lease.closed || vm.getBlockTimestamp() < lease.overdueAt) return;
        while (!isInserted[leaseId]) _insertNext(lease.client, lease.provider);
        uint256 before = ledger.balanceOf(lease.client);
        _settle(lease.client, lease.provider, leaseId, CLOSE, claimed[leaseId]);
        vm.assertEq(ledger.balanceOf(lease.client) - before, lease.deposit - claimed[leaseId]);
    }

    function _insertAll(address sender, address of_) private {
        (, uint64 head, uint64 tail,,) = ledger.shardOf(of_);
        for (; head < tail; ++head) {
            _insertNext(sender, of_);
        }
    }

    /// @dev The lease at the head of the queue: the first of this provider's that is not inserted.
    function _insertNext(address sender, address of_) private {
        for (uint256 i = 0; i < leases.length; ++i) {
            if (isInserted[leases[i]] || ledger.leaseOf(leases[i]).provider != of_) continue;
            _settle(sender, of_, leases[i], INSERT, 0);
            isInserted[leases[i]] = true;
            return;
        }
        revert("nothing to insert");
    }

    function _settle(address sender, address of_, uint256 leaseId, uint8 flags, uint96 amount) private {
        ILedger.Op[] memory ops = one(opOf(leaseId, flags, claimed[leaseId], amount));
        uint256 root = rootOf(of_);
        uint256[8] memory proof;
        vm.prank(sender);
        ledger.settle(of_, root, uint256(keccak256(abi.encode(root))) >> 8, ops, 1, proof);
        claimed[leaseId] = amount;
    }
}

contract SolvencyTest is Fixture {
    Crowd private crowd;

    function setUp() public override {
        super.setUp();
        vm.prank(client);
        ledger.withdraw(1 ether);
        crowd = new Crowd(market);
    }

    /// @dev Read by forge: what the invariants' random calls go to.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }

    function liabilities() private view returns (uint256 sum) {
        for (uint256 i = 0; i < 3; ++i) {
            sum += ledger.balanceOf(crowd.clients(i));
        }
        for (uint256 i = 0; i < 2; ++i) {
            sum += owedTo(crowd.providers(i));
        }
        for (uint256 i = 0; i < crowd.leaseCount(); ++i) {
            uint256 leaseId = crowd.leases(i);
            ILedger.Lease memory lease = ledger.leaseOf(leaseId);
            if (!lease.closed) sum += lease.deposit - crowd.claimed(leaseId);
        }
    }

    function invariant_ledger_holds_exactly_what_it_owes() external view {
        vm.assertEq(address(ledger).balance, liabilities());
        vm.assertEq(address(ledger).balance, crowd.deposited() - crowd.withdrawn() - crowd.collected());
        vm.assertEq(address(market).balance, 0);
    }

    /// @dev Read by forge at the end of each random run: a year on, with every provider silent, all get out.
    function afterInvariant() external {
        vm.warp(vm.getBlockTimestamp() + 365 days);
        for (uint256 i = 0; i < crowd.leaseCount(); ++i) {
            crowd.exit(crowd.leases(i));
            vm.assertTrue(ledger.leaseOf(crowd.leases(i)).closed);
        }
        vm.assertEq(address(ledger).balance, liabilities());
    }
}
