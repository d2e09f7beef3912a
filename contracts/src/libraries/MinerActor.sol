// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

/// @title Asks a Filecoin miner actor whether an address controls it.
library MinerActor {
    /// @notice Unknown: no clear answer came (no such precompile, actor or method, or none that we understand).
    enum Answer {
        Unknown,
        No,
        Yes
    }

    /// @dev FEVM's call_actor_id, to be reached by DELEGATECALL (FIP-0054, "Precompiles").
    address private constant CALL_ACTOR_ID = 0xfe00000000000000000000000000000000000005;
    /// @dev The storage power actor, f04: it knows every miner actor from its creation.
    uint64 private constant POWER_ACTOR = 4;
    /// @dev FRC-42 numbers of the exported methods.
    uint64 private constant IS_CONTROLLING_ADDRESS = 348244887;
    uint64 private constant MINER_RAW_POWER = 3753401894;
    uint64 private constant READ_ONLY = 1;
    uint64 private constant CBOR = 0x51;
    uint64 private constant DAG_CBOR = 0x71;
    bytes1 private constant CBOR_PAIR = 0x82;
    bytes1 private constant CBOR_FALSE = 0xf4;
    bytes1 private constant CBOR_TRUE = 0xf5;
    /// @dev ABI of (int256 exit, uint64 codec, bytes value) with 1 to 32 bytes of value: head of 3 words, length, data.
    uint256 private constant ANSWER_LENGTH = 160;

    /// @notice Whether f0`minerId` is a miner and `controller` its owner, worker or control address.
    /// @dev Not a view only because the precompile wants a delegatecall. Any contract can answer to a miner's
    /// methods, so the power actor is asked first: it has a claim for each miner that it made, and for nothing else.
    function isControlledBy(uint64 minerId, address controller) internal returns (Answer) {
        if (!isMiner(minerId)) return Answer.Unknown;
        (uint256 length, bytes32 value) = _ask(minerId, IS_CONTROLLING_ADDRESS, cborAddress(controller));
        if (length != 1) return Answer.Unknown;
        if (value[0] == CBOR_TRUE) return Answer.Yes;
        return value[0] == CBOR_FALSE ? Answer.No : Answer.Unknown;
    }

    /// @notice Whether the power actor has a claim for this actor, be its power 0.
    /// @dev The answer is [raw power: bytes, meets the minimum: bool]; it fails where there is no claim.
    function isMiner(uint64 minerId) internal returns (bool) {
        (uint256 length, bytes32 value) = _ask(POWER_ACTOR, MINER_RAW_POWER, cborUint(minerId));
        return length > 2 && value[0] == CBOR_PAIR;
    }

    /// @dev Calls a method of a native actor; the length of what it answers is 0 unless that is clear and short.
    function _ask(uint64 actor, uint64 method, bytes memory params)
        private
        returns (uint256 length, bytes32 value)
    {
        bytes memory call = abi.encode(method, uint256(0), READ_ONLY, CBOR, params, actor);
        // A delegatecall, yet to a constant precompile, which has no code that could run on our storage.
        (bool success, bytes memory answer) = CALL_ACTOR_ID.delegatecall(call);
        if (!success || answer.length != ANSWER_LENGTH) return (0, 0);
        uint256 exit;
        uint256 codec;
        uint256 offset;
        (exit, codec, offset, length, value) =
            abi.decode(answer, (uint256, uint256, uint256, uint256, bytes32));
        // Exit codes: negative from the system (no such actor), positive from the actor, 0 for success.
        if (exit != 0 || (codec != CBOR && codec != DAG_CBOR) || offset != 0x60 || length > 32) {
            return (0, 0);
        }
    }

    /// @notice A number in the shortest form of CBOR, as DAG-CBOR has it.
    function cborUint(uint64 number) internal pure returns (bytes memory) {
        // forge-lint: disable-start(unsafe-typecast) (each fits by the condition before it)
        if (number < 24) return abi.encodePacked(uint8(number));
        if (number <= type(uint8).max) return abi.encodePacked(hex"18", uint8(number));
        if (number <= type(uint16).max) return abi.encodePacked(hex"19", uint16(number));
        if (number <= type(uint32).max) return abi.encodePacked(hex"1a", uint32(number));
        // forge-lint: disable-end(unsafe-typecast)
        return abi.encodePacked(hex"1b", number);
    }

    /// @notice The Filecoin address of an EVM caller, as a CBOR byte string.
    /// @dev An f0 caller arrives masked as 0xff ‖ 11 zeros ‖ id and becomes f0 (0x00 ‖ unsigned LEB128 of the id);
    /// any other is f410 (0x04 ‖ namespace 10 ‖ 20 bytes).
    function cborAddress(address account) internal pure returns (bytes memory) {
        uint160 bits = uint160(account);
        if (bits >> 64 != uint160(0xff) << 88) return abi.encodePacked(hex"56040a", account);
        bytes memory leb;
        // forge-lint: disable-next-line(unsafe-typecast) (the low 64 bits are the id)
        uint64 id = uint64(bits);
        do {
            // forge-lint: disable-next-line(unsafe-typecast) (seven bits)
            uint8 low = uint8(id & 0x7f);
            id >>= 7;
            leb = abi.encodePacked(leb, id == 0 ? low : low | 0x80);
        } while (id != 0);
        return abi.encodePacked(uint8(0x41 + leb.length), uint8(0), leb);
    }
}
