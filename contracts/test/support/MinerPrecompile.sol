// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {MinerActor} from "../../src/libraries/MinerActor.sol";

// Stand-ins for FEVM's call_actor_id. They run by delegatecall, so they hold no state, and msg.sender is
// whoever called the contract under test.

/// @notice Miner f01234, controlled by whoever asks; checks the request as the precompile and the miner actor would.
contract ControllingMiner {
    fallback(bytes calldata request) external returns (bytes memory) {
        (uint64 method, uint256 value, uint64 flags, uint64 codec, bytes memory params, uint64 target) =
            abi.decode(request, (uint64, uint256, uint64, uint64, bytes, uint64));
        bool wellFormed = method == 348244887 && value == 0 && flags == 1 && codec == 0x51;
        require(wellFormed, "malformed request");
        if (target != 1234) return abi.encode(int256(6), uint64(0), bytes("")); // SYS_INVALID_RECEIVER
        bool controls = keccak256(params) == keccak256(MinerActor.cborAddress(msg.sender));
        return abi.encode(int256(0), uint64(0x51), controls ? bytes(hex"f5") : bytes(hex"f4"));
    }
}

/// @notice Says always the same. The answer is in the code, where a delegatecall finds it.
contract FixedAnswer {
    constructor(bytes memory answer) {
        // Runtime code: copy all that follows these 11 bytes to memory, and return it.
        bytes memory code = abi.encodePacked(hex"600b380380600b5f395ff3", answer);
        assembly ("memory-safe") {
            return(add(code, 32), mload(code))
        }
    }
}

contract RevertingActor {
    fallback() external {
        revert("no such actor");
    }
}
