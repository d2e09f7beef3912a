// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";

import {Ledger} from "../src/Ledger.sol";
import {ILedger} from "../src/interfaces/ILedger.sol";
import {CLAIM, INSERT} from "../src/libraries/PackedOps.sol";
import {Fixture} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";

/// @notice Tries to be paid twice by calling back while it is paid.
contract Reentrant {
    Ledger private immutable LEDGER;

    constructor(Ledger ledger) payable {
        LEDGER = ledger;
        ledger.deposit{value: msg.value}();
    }

    function run() external {
        LEDGER.withdraw(1 ether);
    }

    receive() external payable {
        LEDGER.withdraw(1 ether);
    }
}

/// @notice Tries to collect twice by calling back while it is paid.
contract ReentrantProvider {
    Ledger private immutable LEDGER;

    constructor(Ledger ledger) {
        LEDGER = ledger;
    }

    function run() external {
        LEDGER.collect();
    }

    receive() external payable {
        LEDGER.collect();
    }
}

/// @notice Money in and out: balances of clients, earnings of providers.
contract LedgerBalancesTest is Fixture {
    function testFuzz_deposits_come_back_whole(uint96 amount) public {
        vm.deal(stranger, amount);
        vm.startPrank(stranger);
        ledger.deposit{value: amount}();
        vm.assertEq(ledger.balanceOf(stranger), amount);
        ledger.withdraw(amount);
        vm.assertEq(stranger.balance, amount);
        vm.expectRevert(abi.encodeWithSelector(ILedger.InsufficientBalance.selector, 0, 1));
        ledger.withdraw(1);
    }

    function test_deposit_for_another_credits_it() public {
        vm.deal(stranger, 5);
        vm.startPrank(stranger);
        vm.expectEmit(address(ledger));
        emit ILedger.Deposited(client, stranger, 5);
        ledger.depositFor{value: 5}(client);
        vm.assertEq(ledger.balanceOf(client), 1 ether + 5);
        vm.expectRevert(ILedger.ZeroAddress.selector);
        ledger.depositFor{value: 0}(address(0));
    }

    function test_money_sent_without_a_call_is_refused() public {
        vm.deal(stranger, 1);
        vm.prank(stranger);
        (bool taken,) = address(ledger).call{value: 1}("");
        vm.assertFalse(taken);
    }

    function test_reentrant_withdrawal_gets_nothing() public {
        Reentrant thief = new Reentrant{value: 1 ether}(ledger);
        vm.expectRevert();
        thief.run();
        vm.assertEq(address(thief).balance, 0);
        vm.assertEq(ledger.balanceOf(address(thief)), 1 ether);
    }

    function test_earnings_go_to_the_registered_payout_address() public {
        vm.prank(provider);
        registry.register(0, "http://sp", bytes32(0), bytes32(0), address(0x9A9));
        settleAs(provider, 7, one(opOf(open(orderOf(1)), INSERT | CLAIM, 7)));
        vm.prank(provider);
        vm.expectEmit(address(ledger));
        emit ILedger.Collected(provider, address(0x9A9), 7);
        vm.assertEq(ledger.collect(), 7);
        vm.assertEq(address(0x9A9).balance, 7);
        vm.prank(provider);
        vm.expectRevert(ILedger.NothingOwed.selector);
        ledger.collect();
    }

    function test_earnings_of_an_unregistered_provider_go_to_itself() public {
        settleAs(provider, 7, one(opOf(open(orderOf(1)), INSERT | CLAIM, 7)));
        vm.prank(provider);
        ledger.collect();
        vm.assertEq(provider.balance, 7);
    }

    function test_failed_payout_keeps_the_earnings() public {
        vm.prank(provider);
        registry.register(0, "http://sp", bytes32(0), bytes32(0), address(ledger)); // takes no plain money
        settleAs(provider, 7, one(opOf(open(orderOf(1)), INSERT | CLAIM, 7)));
        vm.prank(provider);
        vm.expectRevert(Errors.FailedCall.selector);
        ledger.collect();
        vm.assertEq(owedTo(provider), 7);
    }

    function test_reentrant_collection_gets_nothing() public {
        ReentrantProvider thief = new ReentrantProvider(ledger);
        provider = address(thief);
        vm.prank(address(market));
        ledger.lockMany(openedOf(9, 100));
        settleAs(provider, 60, one(opOf(9, INSERT | CLAIM, 60)));
        vm.expectRevert(ILedger.NothingOwed.selector);
        thief.run();
        vm.assertEq(owedTo(provider), 60);
    }
}
