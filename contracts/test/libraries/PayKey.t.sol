// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {P} from "../../src/libraries/BatchWords.sol";
import {PayKey} from "../../src/libraries/PayKey.sol";
import {vm} from "../support/Forge.sol";

contract PayKeyTest {
    uint256 private constant BASE_X =
        9671717474070082183213120605117400219616337014328744928644933853176787189663;
    uint256 private constant BASE_Y =
        16950150798460657717958625567821834550301663161624707787222815936182638968203;
    uint256 private constant SQRT_MINUS_ONE =
        21888242871839275217838484774961031246007050428528088939761107053157389710902;

    function test_base_point_and_its_multiples_are_keys() public pure {
        vm.assertTrue(PayKey.isValid(BASE_X, BASE_Y));
        vm.assertTrue(
            PayKey.isValid(
                6181589843805936102166733432625702983249926793164243794170119559257043191516,
                633281375905621697187330766174974863687049529291089048651929454608812697683
            )
        );
        vm.assertTrue(
            PayKey.isValid(
                8787197234602503388844295997017788867392848147420327174860413988187367696532,
                15305195750036305661220525648961313310481046260814497672243197092298550508693
            )
        );
    }

    function test_points_of_low_order_are_no_keys() public pure {
        vm.assertFalse(PayKey.isValid(0, 1), "the identity");
        vm.assertFalse(PayKey.isValid(0, P - 1), "order 2");
        vm.assertFalse(PayKey.isValid(SQRT_MINUS_ONE, 0), "order 4");
        vm.assertFalse(PayKey.isValid(P - SQRT_MINUS_ONE, 0), "order 4");
        vm.assertFalse(
            PayKey.isValid(
                438929327410846936349781937479275998929723622237267896546408861753155634789,
                4826523245007015323400664741523384119579596407052839571721035538011798951543
            ),
            "order 8"
        );
    }

    function test_aliases_of_a_point_are_no_keys() public pure {
        vm.assertFalse(PayKey.isValid(BASE_X + P, BASE_Y));
        vm.assertFalse(PayKey.isValid(BASE_X, BASE_Y + P));
    }

    function testFuzz_points_off_the_curve_are_no_keys(uint256 x, uint256 y) public pure {
        vm.assertFalse(PayKey.isValid(x, y));
        vm.assertFalse(PayKey.isValid(x % P, y % P));
    }
}
