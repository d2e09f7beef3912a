// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {MinerActor} from "../../src/libraries/MinerActor.sol";

// Stand-ins for FEVM's call_actor_id. They run by delegatecall, so they hold no state of their own: what they
// know lies in another contract or in their code.

/// @notice Who controls which miner, and which miners there are: the state behind the precompile.
contract Miners {
    mapping(uint64 minerId => bool exists) public isActor;
    /// @dev What the power actor has a claim for.
    mapping(uint64 minerId => bool exists) public isMiner;
    mapping(uint64 minerId => mapping(bytes32 address_ => bool controls)) private _controls;

    function set(uint64 minerId, address controller, bool controls_) external {
        isMiner[minerId] = true;
        setActor(minerId, controller, controls_);
    }

    /// @dev A contract that answers as a miner would.
    function setActor(uint64 minerId, address controller, bool controls_) public {
        isActor[minerId] = true;
        _controls[minerId][keccak256(MinerActor.cborAddress(controller))] = controls_;
    }

    function remove(uint64 minerId) external {
        isMiner[minerId] = false;
        isActor[minerId] = false;
    }

    function controls(uint64 minerId, bytes calldata params) external view returns (bool) {
        return _controls[minerId][keccak256(params)];
    }
}

/// @notice Answers as the precompile and the miner actors behind it do. It is the EVM actor that checks a request: a
/// malformed one, or one by a plain call, reverts. What the called actor or the system says comes as an exit code.
contract CallActorId {
    uint64 private constant IS_CONTROLLING_ADDRESS = 348244887;
    uint64 private constant MINER_RAW_POWER = 3753401894;
    address private immutable SELF;
    Miners private immutable MINERS;

    constructor(address self, Miners miners) {
        (SELF, MINERS) = (self, miners);
    }

    fallback(bytes calldata request) external payable returns (bytes memory) {
        require(address(this) != SELF, "CallForbidden");
        (uint256 method, uint256 value, uint256 flags, uint256 codec, bytes memory params, uint256 target) =
            abi.decode(request, (uint256, uint256, uint256, uint256, bytes, uint256));
        require(method >> 64 == 0 && codec >> 64 == 0 && target >> 64 == 0, "InvalidInput");
        require(flags <= 1, "InvalidInput");
        require(params.length == 0 || codec == 0x51 || codec == 0x71, "InvalidInput");
        require(value == 0, "no value goes with a read-only call");
        require(flags == 1, "not read-only");
        // forge-lint: disable-next-line(unsafe-typecast) (checked above)
        uint64 minerId = uint64(target);
        if (minerId == 4) {
            if (method != MINER_RAW_POWER) return abi.encode(uint256(22), uint256(0), bytes(""));
            uint64 asked = number(params);
            // USR_ILLEGAL_ARGUMENT: "no claim for actor".
            if (!MINERS.isMiner(asked)) return abi.encode(uint256(16), uint256(0), bytes(""));
            // [power, whether it meets the minimum]: 1 PiB after its sign for odd miners, none for even ones.
            bytes memory power = asked % 2 == 1 ? bytes(hex"82480004000000000000f5") : bytes(hex"8240f4");
            return abi.encode(int256(0), uint256(0x51), power);
        }
        if (!MINERS.isActor(minerId)) {
            // ErrorNumber::NotFound, negated; for an actor of another type its USR_UNHANDLED_MESSAGE.
            if (minerId == 99) return abi.encode(uint256(22), uint256(0), bytes(""));
            return abi.encode(-int256(6), uint256(0), bytes(""));
        }
        if (method != IS_CONTROLLING_ADDRESS) return abi.encode(uint256(22), uint256(0), bytes(""));
        bool controls = MINERS.controls(minerId, params);
        return abi.encode(int256(0), uint256(0x51), controls ? bytes(hex"f5") : bytes(hex"f4"));
    }

    /// @dev A CBOR number, which must be the whole of the parameters and in its shortest form.
    function number(bytes memory params) private pure returns (uint64 value) {
        uint8 head = uint8(params[0]);
        if (head < 24) {
            require(params.length == 1, "SerializationError");
            return head;
        }
        require(head < 28, "SerializationError");
        uint256 width = 1 << (head - 24);
        require(params.length == 1 + width, "SerializationError");
        for (uint256 i = 1; i <= width; ++i) {
            value = (value << 8) | uint8(params[i]);
        }
        require(width == 1 ? value > 23 : value >> (4 * width) != 0, "SerializationError");
    }
}

/// @notice The power actor knows each miner that it is asked for; a miner says always the same.
contract FixedMiner {
    bytes private _answer;

    constructor(bytes memory answer) {
        _answer = answer;
    }

    function answerTo(bytes calldata request) external view returns (bytes memory) {
        (,,,,, uint256 target) = abi.decode(request, (uint256, uint256, uint256, uint256, bytes, uint256));
        return target == 4 ? abi.encode(int256(0), uint256(0x51), bytes(hex"8240f4")) : _answer;
    }
}

/// @notice The precompile before a FixedMiner.
contract CallFixedMiner {
    FixedMiner private immutable MINER;

    constructor(FixedMiner miner) {
        MINER = miner;
    }

    fallback(bytes calldata request) external returns (bytes memory) {
        return MINER.answerTo(request);
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
