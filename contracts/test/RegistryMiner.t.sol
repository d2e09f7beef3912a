// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Registry} from "../src/Registry.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {vm} from "./support/Forge.sol";
import {
    CallActorId,
    CallFixedMiner,
    FixedAnswer,
    FixedMiner,
    Miners,
    RevertingActor
} from "./support/MinerPrecompile.sol";

/// @notice Binding an operator to its miner, directly or through an authorization, and asking again.
contract RegistryMinerTest {
    address private constant CALL_ACTOR_ID = 0xfe00000000000000000000000000000000000005;
    address private constant OPERATOR = address(0x0937A702);
    address private constant OWNER = address((uint160(0xff) << 152) | 2000); // a masked id: f02000
    address private constant OTHER_OWNER = address((uint160(0xff) << 152) | 2001);
    address private constant STRANGER = address(0x57A6E2);
    uint64 private constant MINER = 1234;
    uint64 private constant START = 1_800_000_000;

    Registry private registry = Registry(vm.deployCode("Registry.sol:Registry"));
    Miners private miners = new Miners();

    function setUp() public {
        vm.warp(START);
        vm.etch(CALL_ACTOR_ID, address(new CallActorId(CALL_ACTOR_ID, miners)).code);
        miners.set(MINER, OWNER, true);
    }

    function register(uint64 minerId) private {
        vm.prank(OPERATOR);
        registry.register(minerId, "https://sp.example", bytes32(0), bytes32(0), OPERATOR);
    }

    function minerOf(address operator) private view returns (uint256) {
        return registry.providerOf(operator).minerId;
    }

    function authorize() private {
        vm.prank(OWNER);
        registry.authorize(MINER, OPERATOR);
    }

    function refused(uint64 minerId, address sender) private {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotMinerController.selector, minerId, sender));
    }

    // By itself

    function test_controlled_miner_is_bound_and_unbound() public {
        miners.set(MINER, OPERATOR, true);
        register(MINER);
        vm.assertEq(minerOf(OPERATOR), MINER);
        vm.assertEq(registry.boundBy(OPERATOR), OPERATOR);
        vm.prank(OPERATOR);
        registry.bindMiner(0);
        vm.assertEq(minerOf(OPERATOR), 0);
        vm.assertEq(registry.boundBy(OPERATOR), address(0));
        vm.warp(START + 5);
        vm.prank(OPERATOR);
        vm.expectEmit(address(registry));
        emit IRegistry.MinerBound(OPERATOR, MINER);
        registry.bindMiner(MINER);
        vm.assertEq(minerOf(OPERATOR), MINER);
        vm.assertEq(registry.providerOf(OPERATOR).updatedAt, START + 5);
    }

    function test_masked_id_of_a_native_account_can_bind_itself() public {
        vm.prank(OWNER);
        registry.register(MINER, "https://sp.example", bytes32(0), bytes32(0), OPERATOR);
        vm.assertEq(minerOf(OWNER), MINER);
    }

    function test_miner_of_another_is_refused() public {
        refused(MINER, OPERATOR);
        register(MINER);
        register(0);
        refused(MINER, OPERATOR);
        vm.prank(OPERATOR);
        registry.bindMiner(MINER);
    }

    function test_no_miner_and_no_filecoin_are_refused() public {
        refused(MINER + 1, OPERATOR);
        register(MINER + 1);
        refused(99, OPERATOR);
        register(99);
        vm.etch(CALL_ACTOR_ID, "");
        refused(MINER, OPERATOR);
        register(MINER);
        vm.etch(CALL_ACTOR_ID, type(RevertingActor).runtimeCode);
        refused(MINER, OPERATOR);
        register(MINER);
    }

    // Through an authorization

    function test_owner_that_is_no_ethereum_account_authorizes_an_operator() public {
        vm.expectEmit(address(registry));
        emit IRegistry.MinerAuthorized(MINER, OPERATOR, OWNER);
        authorize();
        vm.assertEq(registry.authorizedBy(MINER, OPERATOR), OWNER);
        register(MINER);
        vm.assertEq(minerOf(OPERATOR), MINER);
        vm.assertEq(registry.boundBy(OPERATOR), OWNER);
    }

    function test_registered_operator_binds_by_authorization_later() public {
        register(0);
        authorize();
        vm.prank(OPERATOR);
        registry.bindMiner(MINER);
        vm.assertEq(registry.boundBy(OPERATOR), OWNER);
    }

    function test_only_a_controller_authorizes() public {
        refused(MINER, STRANGER);
        vm.prank(STRANGER);
        registry.authorize(MINER, STRANGER);
        refused(MINER + 1, OWNER);
        vm.prank(OWNER);
        registry.authorize(MINER + 1, OPERATOR);
    }

    function test_authorization_is_for_one_operator_and_one_miner() public {
        miners.set(MINER + 1, STRANGER, true);
        authorize();
        refused(MINER + 1, OPERATOR);
        register(MINER + 1);
        refused(MINER, STRANGER);
        vm.prank(STRANGER);
        registry.register(MINER, "https://sp.example", bytes32(0), bytes32(0), OPERATOR);
    }

    function test_authorization_of_a_former_controller_is_void() public {
        authorize();
        miners.set(MINER, OWNER, false);
        refused(MINER, OPERATOR);
        register(MINER);
        miners.set(MINER, OTHER_OWNER, true);
        vm.prank(OTHER_OWNER);
        registry.authorize(MINER, OPERATOR);
        register(MINER);
        vm.assertEq(registry.boundBy(OPERATOR), OTHER_OWNER);
    }

    function test_operators_own_control_comes_before_an_authorization() public {
        authorize();
        miners.set(MINER, OPERATOR, true);
        register(MINER);
        vm.assertEq(registry.boundBy(OPERATOR), OPERATOR);
    }

    // Taking it back

    function test_giver_revokes_and_the_operator_is_unbound() public {
        authorize();
        register(MINER);
        vm.warp(START + 9);
        vm.prank(OWNER);
        vm.expectEmit(address(registry));
        emit IRegistry.MinerRevoked(MINER, OPERATOR, OWNER);
        vm.expectEmit(address(registry));
        emit IRegistry.MinerUnbound(OPERATOR, MINER);
        registry.revoke(MINER, OPERATOR);
        vm.assertEq(minerOf(OPERATOR), 0);
        vm.assertEq(registry.boundBy(OPERATOR), address(0));
        vm.assertEq(registry.authorizedBy(MINER, OPERATOR), address(0));
        vm.assertEq(registry.providerOf(OPERATOR).updatedAt, START + 9);
    }

    function test_former_controller_and_present_one_revoke_but_nobody_else() public {
        authorize();
        refused(MINER, STRANGER);
        vm.prank(STRANGER);
        registry.revoke(MINER, OPERATOR);
        refused(MINER, OPERATOR);
        vm.prank(OPERATOR);
        registry.revoke(MINER, OPERATOR);
        miners.set(MINER, OWNER, false);
        vm.prank(OWNER);
        registry.revoke(MINER, OPERATOR);
        miners.set(MINER, OWNER, true);
        authorize();
        miners.set(MINER, OTHER_OWNER, true);
        vm.prank(OTHER_OWNER);
        registry.revoke(MINER, OPERATOR);
        vm.prank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotAuthorized.selector, MINER, OPERATOR));
        registry.revoke(MINER, OPERATOR);
    }

    function test_revoking_unbinds_neither_a_binding_by_itself_nor_to_another_miner() public {
        authorize();
        miners.set(MINER, OPERATOR, true);
        register(MINER);
        vm.prank(OWNER);
        registry.revoke(MINER, OPERATOR);
        vm.assertEq(minerOf(OPERATOR), MINER);
        vm.assertEq(registry.boundBy(OPERATOR), OPERATOR);

        miners.set(MINER + 1, OWNER, true);
        vm.prank(OWNER);
        registry.authorize(MINER + 1, OPERATOR);
        vm.prank(OPERATOR);
        registry.bindMiner(MINER + 1);
        authorize();
        vm.prank(OWNER);
        registry.revoke(MINER, OPERATOR);
        vm.assertEq(minerOf(OPERATOR), MINER + 1);
    }

    // Asking again

    function test_recheck_unbinds_what_is_no_longer_controlled() public {
        authorize();
        register(MINER);
        miners.set(MINER, OWNER, false);
        vm.warp(START + 9);
        vm.expectEmit(address(registry));
        emit IRegistry.MinerUnbound(OPERATOR, MINER);
        vm.prank(STRANGER);
        registry.recheck(OPERATOR);
        vm.assertEq(minerOf(OPERATOR), 0);
        vm.assertEq(registry.boundBy(OPERATOR), address(0));
        vm.assertEq(registry.providerOf(OPERATOR).updatedAt, START + 9);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotBound.selector, OPERATOR));
        registry.recheck(OPERATOR);
    }

    function test_recheck_of_a_good_binding_changes_nothing() public {
        authorize();
        register(MINER);
        vm.warp(START + 9);
        registry.recheck(OPERATOR);
        vm.assertEq(minerOf(OPERATOR), MINER);
        vm.assertEq(registry.boundBy(OPERATOR), OWNER);
        vm.assertEq(registry.providerOf(OPERATOR).updatedAt, START);
    }

    function test_recheck_asks_about_whom_it_was_bound_through() public {
        miners.set(MINER, OPERATOR, true);
        register(MINER);
        authorize();
        miners.set(MINER, OPERATOR, false);
        registry.recheck(OPERATOR);
        vm.assertEq(minerOf(OPERATOR), 0);
    }

    function recheckUnanswered() private {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.MinerDidNotAnswer.selector, MINER));
        registry.recheck(OPERATOR);
        vm.assertEq(minerOf(OPERATOR), MINER);
        vm.assertEq(registry.boundBy(OPERATOR), OWNER);
    }

    function test_missing_answer_unbinds_nobody() public {
        authorize();
        register(MINER);
        miners.remove(MINER);
        recheckUnanswered();
        vm.etch(CALL_ACTOR_ID, type(RevertingActor).runtimeCode);
        recheckUnanswered();
        vm.etch(CALL_ACTOR_ID, "");
        recheckUnanswered();
        etchMiner(abi.encode(int256(0), uint64(0x51), bytes(hex"01")));
        recheckUnanswered();
        etchMiner(abi.encode(int256(7), uint64(0x51), bytes(hex"f4")));
        recheckUnanswered();
        etchMiner(abi.encode(int256(0), uint64(0x51), bytes(hex"f4")));
        registry.recheck(OPERATOR);
        vm.assertEq(minerOf(OPERATOR), 0);
    }

    // What is a miner

    function test_contract_that_answers_as_a_miner_is_none() public {
        miners.setActor(5555, OPERATOR, true);
        miners.setActor(5555, OWNER, true);
        refused(5555, OPERATOR);
        register(5555);
        refused(5555, OWNER);
        vm.prank(OWNER);
        registry.authorize(5555, OPERATOR);
        register(0);
        refused(5555, OPERATOR);
        vm.prank(OPERATOR);
        registry.bindMiner(5555);
    }

    function testFuzz_every_miner_that_the_power_actor_knows_is_one(uint64 minerId) public {
        if (minerId == 0 || minerId == 4 || minerId == 99) return;
        miners.set(minerId, OPERATOR, true);
        register(minerId);
        vm.assertEq(minerOf(OPERATOR), minerId);
    }

    function test_unclear_answer_about_power_is_refused() public {
        bytes[5] memory answers = [
            abi.encode(int256(0), uint64(0x51), bytes(hex"f5")),
            abi.encode(int256(0), uint64(0x51), bytes(hex"82")),
            abi.encode(int256(0), uint64(0x51), bytes(hex"8340f4f4")),
            abi.encode(int256(16), uint64(0x51), bytes(hex"8240f4")),
            abi.encode(int256(0), uint64(0x55), bytes(hex"8240f4"))
        ];
        for (uint256 i = 0; i < answers.length; ++i) {
            vm.etch(CALL_ACTOR_ID, address(new FixedAnswer(answers[i])).code);
            refused(MINER, OPERATOR);
            register(MINER);
        }
    }

    // Answers of the precompile

    function etchMiner(bytes memory answer) private {
        vm.etch(CALL_ACTOR_ID, address(new CallFixedMiner(new FixedMiner(answer))).code);
    }

    function assertAnswer(bytes memory answer, bool isTaken) private {
        etchMiner(answer);
        if (!isTaken) {
            vm.expectRevert(abi.encodeWithSelector(IRegistry.NotMinerController.selector, MINER, OPERATOR));
        }
        register(MINER);
        vm.assertEq(registry.count(), isTaken ? 1 : 0);
    }

    function test_cbor_true_is_taken() public {
        assertAnswer(abi.encode(int256(0), uint64(0x51), bytes(hex"f5")), true);
    }

    function test_dag_cbor_true_is_taken() public {
        assertAnswer(abi.encode(int256(0), uint64(0x71), bytes(hex"f5")), true);
    }

    function test_unclear_answers_are_refused() public {
        assertAnswer(abi.encode(int256(0), uint64(0x51), bytes(hex"f4")), false); // false
        assertAnswer(abi.encode(int256(16), uint64(0x51), bytes(hex"f5")), false); // failed, yet true
        assertAnswer(abi.encode(int256(-1), uint64(0), bytes("")), false); // syscall error
        assertAnswer(abi.encode(int256(0), uint64(0), bytes("")), false); // no answer
        assertAnswer(abi.encode(int256(0), uint64(0x55), bytes(hex"f5")), false); // raw bytes
        assertAnswer(abi.encode(int256(0), uint64(0x51), bytes(hex"f5f5")), false); // trailing bytes
        assertAnswer(abi.encode(int256(0), uint64(0x51), bytes(hex"01")), false); // a number
        assertAnswer(abi.encode(int256(0), uint64(0x51)), false); // cut short
        assertAnswer(hex"f5", false);
        assertAnswer("", false);
    }

    function test_answer_laid_out_otherwise_is_refused() public {
        bytes32 yes = bytes32(hex"f5");
        assertAnswer(abi.encode(int256(0), uint256(0x51), uint256(0x40), uint256(1), yes), false);
        assertAnswer(abi.encode(int256(0), uint256(0x51), uint256(0x80), uint256(1), yes), false);
        assertAnswer(abi.encode(int256(0), uint256(0x51), uint256(0x60), uint256(1), yes), true);
    }

    function test_answer_about_power_that_is_longer_than_it_can_be_is_refused() public {
        bytes32 power = bytes32(hex"8240f4");
        bytes memory answer = abi.encode(int256(0), uint256(0x51), uint256(0x60), uint256(33), power);
        vm.etch(CALL_ACTOR_ID, address(new FixedAnswer(answer)).code);
        refused(MINER, OPERATOR);
        register(MINER);
    }

    function testFuzz_random_answers_are_refused(bytes calldata answer) public {
        assertAnswer(answer, false);
    }
}
