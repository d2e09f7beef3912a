// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Registry} from "../src/Registry.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {vm} from "./support/Forge.sol";

/// @notice Records of providers and their enumeration.
contract RegistryTest {
    address private constant OPERATOR = address(0x0937A702);
    address private constant PAYOUT = address(0x9A9);
    bytes32 private constant HOST_KEY = keccak256("ssh-ed25519 AAAA");
    bytes32 private constant OFFER = keccak256("offer");
    string private constant URL = "https://sp.example:8443";

    Registry private registry;

    function setUp() public {
        vm.warp(1_800_000_000);
        registry = Registry(vm.deployCode("Registry.sol:Registry"));
    }

    function register(address operator) private {
        vm.prank(operator);
        registry.register(0, URL, HOST_KEY, OFFER, PAYOUT);
    }

    function test_registered_provider_is_found() public {
        vm.expectEmit(address(registry));
        emit IRegistry.ProviderRegistered(OPERATOR, 0, URL, HOST_KEY, OFFER, PAYOUT);
        register(OPERATOR);
        IRegistry.Provider memory found = registry.providerOf(OPERATOR);
        vm.assertEq(found.operator, OPERATOR);
        vm.assertEq(found.minerId, 0);
        vm.assertEq(found.updatedAt, 1_800_000_000);
        vm.assertTrue(found.active);
        vm.assertEq(found.payout, PAYOUT);
        vm.assertEq(found.gatewayHostKeyHash, HOST_KEY);
        vm.assertEq(found.offerDigest, OFFER);
        vm.assertEq(found.endpoint, URL);
        vm.assertEq(registry.payoutOf(OPERATOR), PAYOUT);
        vm.assertEq(registry.count(), 1);
        vm.assertEq(registry.page(0, 10)[0].operator, OPERATOR);
    }

    function test_second_registration_is_refused() public {
        register(OPERATOR);
        vm.expectRevert(IRegistry.AlreadyRegistered.selector);
        register(OPERATOR);
    }

    function testFuzz_endpoint_length_is_bounded(uint16 length) public {
        bytes memory url = new bytes(length);
        bool fits = length > 0 && length <= 256;
        vm.prank(OPERATOR);
        if (!fits) vm.expectRevert(abi.encodeWithSelector(IRegistry.EndpointLength.selector, length));
        registry.register(0, string(url), HOST_KEY, OFFER, PAYOUT);
        vm.assertEq(registry.count(), fits ? 1 : 0);
    }

    function test_longest_endpoint_is_taken_and_one_byte_more_refused() public {
        vm.prank(OPERATOR);
        registry.register(0, string(new bytes(256)), HOST_KEY, OFFER, PAYOUT);
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.EndpointLength.selector, 257));
        registry.update(string(new bytes(257)), HOST_KEY, OFFER, PAYOUT);
    }

    function test_zero_payout_is_refused() public {
        vm.prank(OPERATOR);
        vm.expectRevert(IRegistry.ZeroPayout.selector);
        registry.register(0, URL, HOST_KEY, OFFER, address(0));
    }

    function test_update_replaces_the_record() public {
        register(OPERATOR);
        vm.warp(1_800_000_500);
        vm.prank(OPERATOR);
        registry.update("http://other", bytes32(uint256(1)), bytes32(uint256(2)), OPERATOR);
        IRegistry.Provider memory found = registry.providerOf(OPERATOR);
        vm.assertEq(found.endpoint, "http://other");
        vm.assertEq(found.gatewayHostKeyHash, bytes32(uint256(1)));
        vm.assertEq(found.offerDigest, bytes32(uint256(2)));
        vm.assertEq(found.payout, OPERATOR);
        vm.assertEq(found.updatedAt, 1_800_000_500);
    }

    function test_unregistered_operator_can_neither_update_nor_bind_nor_retire() public {
        vm.startPrank(OPERATOR);
        vm.expectRevert(IRegistry.NotRegistered.selector);
        registry.update(URL, HOST_KEY, OFFER, PAYOUT);
        vm.expectRevert(IRegistry.NotRegistered.selector);
        registry.bindMiner(0);
        vm.expectRevert(IRegistry.NotRegistered.selector);
        registry.retire();
    }

    function test_retired_provider_stays_listed_inactive_and_keeps_its_payout() public {
        register(OPERATOR);
        vm.prank(OPERATOR);
        registry.retire();
        vm.assertFalse(registry.page(0, 1)[0].active);
        vm.assertEq(registry.payoutOf(OPERATOR), PAYOUT);
    }

    function test_return_after_retirement_does_not_list_twice() public {
        register(OPERATOR);
        vm.prank(OPERATOR);
        registry.retire();
        register(OPERATOR);
        vm.assertEq(registry.count(), 1);
        vm.assertTrue(registry.providerOf(OPERATOR).active);
    }

    function testFuzz_pages_cover_the_list_once(uint8 size, uint8 limit) public {
        uint256 total = size % 20;
        vm.assume(limit > 0);
        for (uint160 i = 1; i <= total; ++i) {
            register(address(i));
        }
        uint160 seen;
        for (uint256 offset = 0; offset < total; offset += limit) {
            IRegistry.Provider[] memory records = registry.page(offset, limit);
            for (uint256 i = 0; i < records.length; ++i) {
                vm.assertEq(records[i].operator, address(++seen));
            }
        }
        vm.assertEq(seen, total);
        vm.assertEq(registry.page(total, limit).length, 0);
        vm.assertEq(registry.page(0, type(uint256).max).length, total);
    }

    function test_update_and_retirement_are_told_and_dated() public {
        register(OPERATOR);
        vm.warp(1_800_000_900);
        vm.startPrank(OPERATOR);
        vm.expectEmit(address(registry));
        emit IRegistry.ProviderUpdated(OPERATOR, "http://other", HOST_KEY, OFFER, PAYOUT);
        registry.update("http://other", HOST_KEY, OFFER, PAYOUT);
        vm.warp(1_800_000_999);
        vm.expectEmit(address(registry));
        emit IRegistry.ProviderRetired(OPERATOR);
        registry.retire();
        vm.assertEq(registry.providerOf(OPERATOR).updatedAt, 1_800_000_999);
    }
}
