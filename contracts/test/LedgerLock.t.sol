// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Market} from "../src/Market.sol";
import {VerifyingKey} from "../src/generated/VerifyingKey.sol";
import {ILedger} from "../src/interfaces/ILedger.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {CLOSE, INSERT, Op} from "../src/libraries/PackedOps.sol";
import {Fixture, YesVerifier} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";

/// @notice How the ledger is made, what only its market may do, deposits of leases and their return without a proof.
contract LedgerLockTest is Fixture {
    function refundRefused(address sender, uint256[] memory leaseIds, bytes memory refusal) private {
        vm.prank(sender);
        vm.expectRevert(refusal);
        ledger.refund(leaseIds);
    }

    function list(uint256 leaseId) private pure returns (uint256[] memory leaseIds) {
        leaseIds = new uint256[](1);
        leaseIds[0] = leaseId;
    }

    // Making

    function test_development_key_is_refused_on_mainnet() public {
        IVerifier verifier = new YesVerifier();
        vm.chainId(314);
        if (VerifyingKey.UNSAFE_DEVELOPMENT) vm.expectRevert(ILedger.UnsafeVerifyingKey.selector);
        new Market(registry, [verifier, verifier, verifier, verifier]);
        vm.chainId(314159);
        new Market(registry, [verifier, verifier, verifier, verifier]);
    }

    function test_addresses_without_code_are_refused() public {
        IVerifier verifier = new YesVerifier();
        for (uint256 i = 0; i < 4; ++i) {
            IVerifier[4] memory verifiers = [verifier, verifier, verifier, verifier];
            verifiers[i] = IVerifier(stranger);
            vm.expectRevert(ILedger.ZeroAddress.selector);
            new Market(registry, verifiers);
        }
        vm.expectRevert(ILedger.ZeroAddress.selector);
        new Market(IRegistry(stranger), [verifier, verifier, verifier, verifier]);
    }

    function test_each_size_has_its_own_verifier() public {
        IVerifier[4] memory verifiers;
        for (uint256 i = 0; i < 4; ++i) {
            verifiers[i] = new YesVerifier();
        }
        deploy(verifiers);
        vm.assertEq(address(ledger.verifierOf(1)), address(verifiers[0]));
        vm.assertEq(address(ledger.verifierOf(8)), address(verifiers[1]));
        vm.assertEq(address(ledger.verifierOf(64)), address(verifiers[2]));
        vm.assertEq(address(ledger.verifierOf(256)), address(verifiers[3]));
        vm.assertEq(ledger.market(), address(market));
        vm.assertEq(address(ledger.registry()), address(registry));
    }

    function testFuzz_there_is_no_verifier_of_other_sizes(uint16 size) public {
        vm.assume(size != 1 && size != 8 && size != 64 && size != 256);
        vm.expectRevert(abi.encodeWithSelector(ILedger.BatchSize.selector, size));
        ledger.verifierOf(size);
    }

    // Locking

    function test_only_the_market_opens_raises_and_ends_leases() public {
        vm.deal(stranger, 1);
        vm.startPrank(stranger);
        vm.expectRevert(ILedger.NotMarket.selector);
        ledger.lockMany(new ILedger.Opened[](0));
        vm.expectRevert(ILedger.NotMarket.selector);
        ledger.raise{value: 1}(1, 1, 1);
        vm.expectRevert(ILedger.NotMarket.selector);
        ledger.recordEnd(1);
    }

    function test_not_even_the_market_raises_a_deposit_by_more_than_the_value() public {
        uint256 leaseId = open(orderOf(1));
        vm.deal(address(market), 5);
        vm.prank(address(market));
        vm.expectRevert(abi.encodeWithSelector(ILedger.WrongValue.selector, 6, 5));
        ledger.raise{value: 5}(leaseId, 6, 1);
    }

    function test_locked_deposit_waits_in_its_record() public {
        uint256 leaseId = uint256(market.hashOrder(orderOf(1))) >> 8;
        vm.expectEmit(address(ledger));
        emit ILedger.Locked(leaseId, client, provider, COLLATERAL, KEY_X, KEY_Y);
        open(orderOf(1));
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        vm.assertEq(lease.client, client);
        vm.assertEq(lease.overdueAt, START + MAX_SECONDS + WINDOW);
        vm.assertEq(lease.openedAt, START);
        vm.assertEq(uint256(lease.state), uint256(ILedger.State.Locked));
        vm.assertEq(lease.provider, provider);
        vm.assertEq(lease.deposit, COLLATERAL);
        vm.assertEq(lease.key, (keccak256(abi.encode(KEY_X, KEY_Y)) >> 8) << 8);
        vm.assertEq(lease.paid, 0);
        vm.assertEq(lease.numSeconds, 0);
        vm.assertEq(lease.reason, 0);
        vm.assertEq(lease.closedAt, 0);
        (uint256 root, uint256 owed, uint256 demanded) = ledger.shardOf(provider);
        vm.assertEq(root, VerifyingKey.EMPTY_ROOT);
        vm.assertEq(owed, 0);
        vm.assertEq(demanded, 0);
        vm.assertEq(ledger.heldOf(provider), COLLATERAL);
    }

    function test_unknown_lease_is_all_zero() public view {
        ILedger.Lease memory nothing;
        vm.assertEq(abi.encode(ledger.leaseOf(99)), abi.encode(nothing));
    }

    function test_lease_locked_before_is_refused() public {
        uint256 leaseId = open(orderOf(1));
        vm.startPrank(address(market));
        vm.expectRevert(abi.encodeWithSelector(ILedger.LeaseExists.selector, leaseId));
        ledger.lockMany(openedOf(leaseId, 0));
        vm.stopPrank();
        settleAs(provider, 0, one(opOf(leaseId, INSERT | CLOSE, 0)));
        vm.prank(address(market));
        vm.expectRevert(abi.encodeWithSelector(ILedger.LeaseExists.selector, leaseId));
        ledger.lockMany(openedOf(leaseId, 0));
    }

    function testFuzz_no_key_can_block_anything(uint256 x, uint256 y) public {
        ILedger.Opened[] memory opened = openedOf(1, 5);
        (opened[0].payKeyX, opened[0].payKeyY) = (x, y);
        vm.prank(address(market));
        ledger.lockMany(opened);
        vm.prank(provider);
        ledger.refund(list(1));
        vm.assertEq(ledger.balanceOf(client), 1 ether);
    }

    // Refunds

    function test_provider_gives_a_deposit_back_at_any_time() public {
        uint256 leaseId = open(orderOf(1));
        vm.expectEmit(address(ledger));
        emit ILedger.Closed(leaseId, client, provider, 0, COLLATERAL, 0, 0);
        vm.prank(provider);
        ledger.refund(list(leaseId));
        vm.assertEq(ledger.balanceOf(client), 1 ether);
        vm.assertEq(ledger.heldOf(provider), 0);
        ILedger.Lease memory lease = ledger.leaseOf(leaseId);
        vm.assertEq(uint256(lease.state), uint256(ILedger.State.Closed));
        vm.assertEq(lease.closedAt, START);
        vm.assertEq(lease.deposit, COLLATERAL);
        refundRefused(provider, list(leaseId), abi.encodeWithSelector(ILedger.LeaseClosed.selector, leaseId));
    }

    function test_anyone_gives_a_deposit_back_once_overdue() public {
        uint256 leaseId = open(orderOf(1));
        uint256 from = START + MAX_SECONDS + WINDOW;
        vm.warp(from - 1);
        refundRefused(
            client, list(leaseId), abi.encodeWithSelector(ILedger.NotAllowedYet.selector, leaseId, from)
        );
        vm.warp(from);
        vm.prank(stranger);
        ledger.refund(list(leaseId));
        vm.assertEq(ledger.balanceOf(client), 1 ether);
    }

    function test_refunds_of_many_are_all_or_none() public {
        uint256[] memory leaseIds = new uint256[](3);
        for (uint64 i = 0; i < 3; ++i) {
            leaseIds[i] = open(orderOf(i));
        }
        uint256 third = leaseIds[2];
        leaseIds[2] = leaseIds[0];
        refundRefused(provider, leaseIds, abi.encodeWithSelector(ILedger.LeaseClosed.selector, leaseIds[0]));
        vm.assertEq(ledger.balanceOf(client), 1 ether - 3 * uint256(COLLATERAL));
        leaseIds[2] = third;
        vm.prank(provider);
        ledger.refund(leaseIds);
        vm.assertEq(ledger.balanceOf(client), 1 ether);
        vm.assertEq(ledger.heldOf(provider), 0);
    }

    function test_lease_in_the_tree_or_unknown_is_not_refunded() public {
        uint256 leaseId = open(orderOf(1));
        settleAs(provider, 0, one(opOf(leaseId, INSERT, 0)));
        refundRefused(
            provider,
            list(leaseId),
            abi.encodeWithSelector(ILedger.WrongLeaseState.selector, leaseId, ILedger.State.Inserted)
        );
        refundRefused(provider, list(99), abi.encodeWithSelector(ILedger.UnknownLease.selector, 99));
    }

    function test_provider_does_not_refund_anothers_lease() public {
        uint256 leaseId = open(orderOf(1));
        refundRefused(
            stranger,
            list(leaseId),
            abi.encodeWithSelector(ILedger.NotAllowedYet.selector, leaseId, START + MAX_SECONDS + WINDOW)
        );
    }

    function test_refunded_lease_cannot_be_inserted() public {
        uint256 leaseId = open(orderOf(1));
        vm.prank(provider);
        ledger.refund(list(leaseId));
        Op[] memory ops = one(opOf(leaseId, INSERT, 0));
        settleRefused(provider, ops, abi.encodeWithSelector(ILedger.LeaseClosed.selector, leaseId));
    }
}
