// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Acceptance, End, Order} from "../src/libraries/Messages.sol";
import {Fixture} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";

/// @notice EVM gas of each transaction that a lease's life needs, held to contracts/snapshots. Settling is in LedgerVectors.
/// @dev Isolated: each call is a transaction of its own, with cold storage and the cost of its calldata.
/// forge-config: default.isolate = true
contract GasTest is Fixture {
    function test_gas_of_the_registry() public {
        vm.startPrank(provider);
        registry.register(0, "https://sp.example:8443", keccak256("host"), keccak256("offer"), provider);
        vm.snapshotGasLastCall("Registry", "register");
        registry.update("https://sp.example:8443", keccak256("host"), keccak256("new"), provider);
        vm.snapshotGasLastCall("Registry", "update");
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
    }

    function test_gas_of_a_lease_by_signatures() public {
        uint256 leaseId = open(orderOf(1));
        vm.snapshotGasLastCall("Market", "openLease");
        End memory end = endOf(leaseId, orderOf(1), 1);
        bytes memory signature = signed(CLIENT_SECRET, hasher.hash(end));
        market.endLeaseSigned(end, client, signature);
        vm.snapshotGasLastCall("Market", "endLeaseSigned");
        settleAs(provider, one(opOf(leaseId, INSERT | CLAIM | CLOSE, 0, PRICE)));
        vm.prank(provider);
        ledger.collect();
        vm.snapshotGasLastCall("Ledger", "collect");
        vm.prank(client);
        market.review(leaseId, 5, "fast disks");
        vm.snapshotGasLastCall("Market", "review");
    }

    function test_gas_of_an_end() public {
        uint256 leaseId = open(orderOf(1));
        vm.prank(client);
        market.endLease(leaseId, 1);
        vm.snapshotGasLastCall("Market", "endLease");
    }
}
