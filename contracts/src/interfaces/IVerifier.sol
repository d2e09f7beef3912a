// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

/// @title The Groth16 verifier that gnark generates for one size of the *batch* circuit.
interface IVerifier {
    /// @notice Returns if the proof holds for the public inputs, reverts if not.
    /// @param proof A, B, C: eight words of 32 bytes in the order of the EIP-197 precompile.
    /// @param input The public inputs (c, r, e), each below the field's modulus.
    function verifyProof(bytes calldata proof, uint256[3] calldata input) external view;
}
