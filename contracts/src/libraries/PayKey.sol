// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {P} from "./BatchWords.sol";

/// @title Checks payment keys: points of the twisted Edwards curve −x² + y² = 1 + d·x²·y² over bn254's scalar field.
/// @dev Parameters as in gnark-crypto's ecc/bn254/twistededwards; cofactor 8. Membership of the prime-order
/// subgroup costs a full scalar multiplication and is the provider's check before it accepts.
library PayKey {
    uint256 private constant D =
        12181644023421730124874158521699555681764249180949974110617291017600649128846;

    /// @notice Whether the point is on the curve and 8·(x, y) is not the identity.
    function isValid(uint256 x, uint256 y) internal pure returns (bool) {
        if (x >= P || y >= P) return false;
        uint256 xx = mulmod(x, x, P);
        uint256 yy = mulmod(y, y, P);
        if (addmod(yy, P - xx, P) != addmod(1, mulmod(D, mulmod(xx, yy, P), P), P)) return false;
        uint256 z = 1;
        (x, y, z) = _double(x, y, z);
        (x, y, z) = _double(x, y, z);
        (x, y, z) = _double(x, y, z);
        return x != 0 || y != z;
    }

    /// @dev Projective doubling dbl-2008-bbjlp with a = −1; complete, since −1 is a square and d is not.
    function _double(uint256 x, uint256 y, uint256 z) private pure returns (uint256, uint256, uint256) {
        uint256 sum = addmod(x, y, P);
        uint256 xx = mulmod(x, x, P);
        uint256 yy = mulmod(y, y, P);
        uint256 f = addmod(yy, P - xx, P);
        uint256 j = addmod(f, P - mulmod(2, mulmod(z, z, P), P), P);
        uint256 s = addmod(xx, yy, P);
        uint256 twoXy = addmod(mulmod(sum, sum, P), P - s, P);
        return (mulmod(twoXy, j, P), mulmod(f, P - s, P), mulmod(f, j, P));
    }
}
