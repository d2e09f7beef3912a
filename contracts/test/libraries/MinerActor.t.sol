// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {MinerActor} from "../../src/libraries/MinerActor.sol";
import {vm} from "../support/Forge.sol";

contract MinerActorTest {
    function test_ethereum_account_is_an_f410_address() public pure {
        vm.assertEq(
            MinerActor.cborAddress(0x52963EF50e27e06D72D59fcB4F3c2a687BE3cfEf),
            hex"56040a52963ef50e27e06d72d59fcb4f3c2a687be3cfef"
        );
    }

    function test_numbers_are_in_the_shortest_form() public pure {
        vm.assertEq(MinerActor.cborUint(0), hex"00");
        vm.assertEq(MinerActor.cborUint(23), hex"17");
        vm.assertEq(MinerActor.cborUint(24), hex"1818");
        vm.assertEq(MinerActor.cborUint(255), hex"18ff");
        vm.assertEq(MinerActor.cborUint(256), hex"190100");
        vm.assertEq(MinerActor.cborUint(65535), hex"19ffff");
        vm.assertEq(MinerActor.cborUint(65536), hex"1a00010000");
        vm.assertEq(MinerActor.cborUint(type(uint32).max), hex"1affffffff");
        vm.assertEq(MinerActor.cborUint(1 << 32), hex"1b0000000100000000");
        vm.assertEq(MinerActor.cborUint(type(uint64).max), hex"1bffffffffffffffff");
    }

    function masked(uint160 id) private pure returns (address) {
        return address((uint160(0xff) << 152) | id);
    }

    function test_masked_id_is_an_f0_address() public pure {
        vm.assertEq(MinerActor.cborAddress(masked(0)), hex"420000");
        vm.assertEq(MinerActor.cborAddress(masked(127)), hex"42007f");
        vm.assertEq(MinerActor.cborAddress(masked(128)), hex"43008001");
        vm.assertEq(MinerActor.cborAddress(masked(2000)), hex"4300d00f");
        vm.assertEq(MinerActor.cborAddress(masked(type(uint64).max)), hex"4b00ffffffffffffffffff01");
    }

    function test_almost_masked_address_is_f410() public pure {
        vm.assertEq(
            MinerActor.cborAddress(masked(1 << 64)), hex"56040aff00000000000000000000010000000000000000"
        );
    }
}
