// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {IMarket} from "../src/interfaces/IMarket.sol";
import {Acceptance, End, Order, Review} from "../src/libraries/Messages.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../src/libraries/PackedOps.sol";
import {Fixture} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";
import {CallActorId, Miners} from "./support/MinerPrecompile.sol";

/// @notice EVM gas of each transaction that a lease's life needs, held to contracts/snapshots.
/// @dev Isolated: each call is a transaction of its own, with cold storage and the cost of its calldata. The verifier
/// here takes every proof for nothing: what a proof's verification costs stands in Verifier.json.
/// forge-config: default.isolate = true
contract GasTest is Fixture {
    address private constant CALL_ACTOR_ID = 0xfe00000000000000000000000000000000000005;

    function test_gas_of_the_registry() public {
        vm.startPrank(provider);
        registry.register(0, "https://sp.example:8443", keccak256("host"), keccak256("offer"), provider);
        vm.snapshotGasLastCall("Registry", "register");
        registry.update("https://sp.example:8443", keccak256("host"), keccak256("new"), provider);
        vm.snapshotGasLastCall("Registry", "update");
        Miners miners = new Miners();
        vm.etch(CALL_ACTOR_ID, address(new CallActorId(CALL_ACTOR_ID, miners)).code);
        miners.set(1234, client, true);
        vm.startPrank(client);
        registry.authorize(1234, provider);
        vm.snapshotGasLastCall("Registry", "authorize");
        vm.startPrank(provider);
        registry.bindMiner(1234);
        vm.snapshotGasLastCall("Registry", "bindMiner");
        registry.recheck(provider);
        vm.snapshotGasLastCall("Registry", "recheck");
        vm.startPrank(client);
        registry.revoke(1234, provider);
        vm.snapshotGasLastCall("Registry", "revoke");
        vm.startPrank(provider);
        registry.retire();
        vm.snapshotGasLastCall("Registry", "retire");
    }

    function test_gas_of_balances() public {
        vm.startPrank(client);
        ledger.deposit{value: 1 ether}();
        vm.snapshotGasLastCall("Ledger", "deposit, again");
        ledger.withdraw(1 ether);
        vm.snapshotGasLastCall("Ledger", "withdraw");
    }

    function test_gas_of_three_transactions() public {
        Order memory order = orderOf(1);
        Acceptance memory acceptance = acceptanceOf(order);
        vm.prank(client);
        market.createOrder(order);
        vm.snapshotGasLastCall("Market", "createOrder");
        vm.prank(provider);
        market.acceptOrder(order, acceptance);
        vm.snapshotGasLastCall("Market", "acceptOrder");
        vm.prank(client);
        market.confirmOrder{value: COLLATERAL}(order, acceptance);
        vm.snapshotGasLastCall("Market", "confirmOrder");
        order = orderOf(2);
        vm.startPrank(client);
        market.createOrder(order);
        market.cancelOrder(order);
        vm.snapshotGasLastCall("Market", "cancelOrder");
    }

    function test_gas_of_openings() public {
        IMarket.Opening[] memory openings = openingsOf(0, 40);
        vm.prank(provider);
        market.openLeases(openings);
        vm.snapshotGasLastCall("Market", "openLeases: 40, first of all");
        openings = openingsOf(40, 40);
        vm.prank(provider);
        market.openLeases(openings);
        vm.snapshotGasLastCall("Market", "openLeases: 40");
        openings = openingsOf(80, 1);
        vm.prank(provider);
        market.openLeases(openings);
        vm.snapshotGasLastCall("Market", "openLeases: 1");
        open(orderOf(81));
        vm.snapshotGasLastCall("Market", "openLease");
    }

    function test_gas_of_an_open_lease() public {
        Order memory order = orderOf(1);
        uint256 leaseId = open(order);
        vm.prank(client);
        market.topUp(order, 60);
        vm.snapshotGasLastCall("Market", "topUp");
        End memory end = endOf(leaseId, order, 1);
        bytes memory signature = signed(CLIENT_SECRET, hasher.hash(end));
        market.endLeaseSigned(end, client, signature);
        vm.snapshotGasLastCall("Market", "endLeaseSigned");
        leaseId = open(orderOf(2));
        vm.prank(client);
        market.endLease(leaseId, 1);
        vm.snapshotGasLastCall("Market", "endLease");
        uint256[] memory leaseIds = new uint256[](1);
        leaseIds[0] = leaseId;
        vm.prank(provider);
        ledger.refund(leaseIds);
        vm.snapshotGasLastCall("Ledger", "refund: 1");
    }

    function test_gas_of_an_exit() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, 0, one(opOf(leaseId, INSERT, 0)));
        vm.warp(START + MAX_SECONDS + WINDOW);
        ledger.demandClose(leaseId);
        vm.snapshotGasLastCall("Ledger", "demandClose");
        settleAlone(stranger, CLOSE, leaseId, 0);
        vm.snapshotGasLastCall("Ledger", "settle: exit of 1");
    }

    function test_gas_of_a_claim_of_a_running_lease() public {
        vm.prank(client);
        ledger.deposit{value: 10 ether}();
        settled(1000, 1); // what comes first of all costs more
        uint256 leaseId = open(orderOf(1));
        settleAlone(provider, INSERT | CLAIM, leaseId, PRICE);
        vm.snapshotGasLastCall("Ledger", "settle: 1 insert and claim");
        settleAlone(provider, CLAIM, leaseId, 2 * PRICE);
        vm.snapshotGasLastCall("Ledger", "settle: 1 claim");
        settled(100, 64);
        Op[] memory ops = new Op[](64);
        for (uint64 i = 0; i < 64; ++i) {
            ops[i] = opOf(open(orderOf(200 + i)), INSERT | CLAIM, PRICE);
            ops[i].slot = i;
        }
        settle(64, ops);
        for (uint64 i = 0; i < 64; ++i) {
            ops[i] = opOf(ops[i].leaseId, CLAIM, 2 * PRICE);
            ops[i].slot = i;
        }
        settle(64, ops);
        vm.snapshotGasLastCall("Ledger", "settle: 64 claims");
    }

    /// @dev A batch of the provider that earns a second's price for each slot.
    function settle(uint16 size, Op[] memory ops) private {
        uint256 root = rootOf(provider);
        bytes memory text = packed(ops);
        uint256[8] memory proof;
        uint256 earned = size * uint256(PRICE);
        vm.prank(provider);
        ledger.settle(provider, 0, size, root, nextRoot(root), earned, text, 1, proof);
    }

    /// @dev One operation in a batch of one.
    function settleAlone(address sender, uint256 flags, uint256 leaseId, uint96 amount) private {
        uint256 root = rootOf(provider);
        bytes memory text = packed(one(opOf(leaseId, flags, amount)));
        uint256[8] memory proof;
        uint256 earned = flags & CLAIM != 0 ? uint256(PRICE) : 0;
        vm.prank(sender);
        ledger.settle(provider, 0, 1, root, nextRoot(root), earned, text, 1, proof);
    }

    /// @dev A batch of whole lives: every slot inserts, claims and closes.
    function settled(uint64 from, uint16 size) private {
        Op[] memory ops = new Op[](size);
        for (uint64 i = 0; i < size; ++i) {
            ops[i] = opOf(open(orderOf(from + i)), INSERT | CLAIM | CLOSE, PRICE);
            (ops[i].slot, ops[i].reason) = (i, 1);
        }
        settle(size, ops);
    }

    function test_gas_of_settlements_of_whole_lives_without_the_proof() public {
        vm.prank(client);
        ledger.deposit{value: 10 ether}();
        settled(1000, 1); // what comes first of all costs more
        settled(0, 1);
        vm.snapshotGasLastCall("Ledger", "settle: 1 life");
        settled(1, 8);
        vm.snapshotGasLastCall("Ledger", "settle: 8 lives");
        settled(9, 64);
        vm.snapshotGasLastCall("Ledger", "settle: 64 lives");
        settled(73, 256);
        vm.snapshotGasLastCall("Ledger", "settle: 256 lives");
        vm.prank(provider);
        ledger.collect();
        vm.snapshotGasLastCall("Ledger", "collect");
        vm.prank(client);
        market.review(orderOf(0), 5, "fast disks");
        vm.snapshotGasLastCall("Market", "review");
    }

    function test_gas_of_a_signed_review() public {
        settled(0, 1);
        Review memory verdict = reviewOf(orderOf(0), 5, "fast disks");
        bytes memory signature = signed(CLIENT_SECRET, hasher.hash(verdict));
        vm.prank(stranger);
        market.reviewSigned(orderOf(0), verdict, signature);
        vm.snapshotGasLastCall("Market", "reviewSigned");
    }
}
