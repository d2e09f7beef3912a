// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {IRegistry} from "./interfaces/IRegistry.sol";
import {MinerActor} from "./libraries/MinerActor.sol";

/// @title The list of providers. Each operator writes its own record; nobody else can.
contract Registry is IRegistry {
    // The only outside call is to a precompile for a read-only answer, by which no state of this contract can change:
    // what is written after it is not open to re-entrance.
    // slither-disable-start reentrancy-no-eth,reentrancy-benign,reentrancy-events

    uint256 public constant MAX_ENDPOINT_BYTES = 256;

    /// @inheritdoc IRegistry
    mapping(uint64 minerId => mapping(address operator => address controller)) public authorizedBy;
    /// @inheritdoc IRegistry
    mapping(address operator => address controller) public boundBy;
    mapping(address operator => Provider record) private _providers;
    address[] private _operators;

    /// @inheritdoc IRegistry
    function authorize(uint64 minerId, address operator) external {
        if (MinerActor.isControlledBy(minerId, msg.sender) != MinerActor.Answer.Yes) {
            revert NotMinerController(minerId, msg.sender);
        }
        authorizedBy[minerId][operator] = msg.sender;
        emit MinerAuthorized(minerId, operator, msg.sender);
    }

    /// @inheritdoc IRegistry
    function revoke(uint64 minerId, address operator) external {
        address controller = authorizedBy[minerId][operator];
        if (controller == address(0)) revert NotAuthorized(minerId, operator);
        if (
            msg.sender != controller
                && MinerActor.isControlledBy(minerId, msg.sender) != MinerActor.Answer.Yes
        ) revert NotMinerController(minerId, msg.sender);
        delete authorizedBy[minerId][operator];
        emit MinerRevoked(minerId, operator, msg.sender);
        Provider storage record = _providers[operator];
        if (record.minerId == minerId && boundBy[operator] != operator) _unbind(record, operator, minerId);
    }

    /// @inheritdoc IRegistry
    function recheck(address operator) external {
        Provider storage record = _providers[operator];
        uint64 minerId = record.minerId;
        if (minerId == 0) revert NotBound(operator);
        MinerActor.Answer answer = MinerActor.isControlledBy(minerId, boundBy[operator]);
        if (answer == MinerActor.Answer.Unknown) revert MinerDidNotAnswer(minerId);
        if (answer == MinerActor.Answer.No) _unbind(record, operator, minerId);
    }

    /// @inheritdoc IRegistry
    function register(
        uint64 minerId,
        string calldata endpoint,
        bytes32 gatewayHostKeyHash,
        bytes32 offerDigest,
        address payout
    ) external {
        Provider storage record = _providers[msg.sender];
        if (record.active) revert AlreadyRegistered();
        _bind(record, minerId);
        if (record.operator == address(0)) {
            record.operator = msg.sender;
            _operators.push(msg.sender);
        }
        record.active = true;
        _write(record, endpoint, gatewayHostKeyHash, offerDigest, payout);
        emit ProviderRegistered(msg.sender, minerId, endpoint, gatewayHostKeyHash, offerDigest, payout);
    }

    /// @inheritdoc IRegistry
    function update(string calldata endpoint, bytes32 gatewayHostKeyHash, bytes32 offerDigest, address payout)
        external
    {
        _write(_ownRecord(), endpoint, gatewayHostKeyHash, offerDigest, payout);
        emit ProviderUpdated(msg.sender, endpoint, gatewayHostKeyHash, offerDigest, payout);
    }

    /// @inheritdoc IRegistry
    function bindMiner(uint64 minerId) external {
        Provider storage record = _ownRecord();
        _bind(record, minerId);
        record.updatedAt = uint64(block.timestamp);
        emit MinerBound(msg.sender, minerId);
    }

    /// @inheritdoc IRegistry
    function retire() external {
        Provider storage record = _ownRecord();
        record.active = false;
        record.updatedAt = uint64(block.timestamp);
        emit ProviderRetired(msg.sender);
    }

    /// @inheritdoc IRegistry
    function providerOf(address operator) external view returns (Provider memory) {
        return _providers[operator];
    }

    /// @inheritdoc IRegistry
    function payoutOf(address operator) external view returns (address) {
        return _providers[operator].payout;
    }

    /// @inheritdoc IRegistry
    function count() external view returns (uint256) {
        return _operators.length;
    }

    /// @inheritdoc IRegistry
    function page(uint256 offset, uint256 limit) external view returns (Provider[] memory records) {
        uint256 total = _operators.length;
        if (offset >= total) return records;
        uint256 size = total - offset;
        if (size > limit) size = limit;
        records = new Provider[](size);
        for (uint256 i = 0; i < size; ++i) {
            records[i] = _providers[_operators[offset + i]];
        }
    }

    function _bind(Provider storage record, uint64 minerId) private {
        boundBy[msg.sender] = minerId == 0 ? address(0) : _controllerFor(minerId);
        record.minerId = minerId;
    }

    function _unbind(Provider storage record, address operator, uint64 minerId) private {
        delete boundBy[operator];
        record.minerId = 0;
        record.updatedAt = uint64(block.timestamp);
        emit MinerUnbound(operator, minerId);
    }

    /// @dev Who of the sender and of whom authorized it controls the miner now.
    function _controllerFor(uint64 minerId) private returns (address controller) {
        if (MinerActor.isControlledBy(minerId, msg.sender) == MinerActor.Answer.Yes) return msg.sender;
        controller = authorizedBy[minerId][msg.sender];
        if (
            controller == address(0)
                || MinerActor.isControlledBy(minerId, controller) != MinerActor.Answer.Yes
        ) revert NotMinerController(minerId, msg.sender);
    }

    function _ownRecord() private view returns (Provider storage record) {
        record = _providers[msg.sender];
        if (!record.active) revert NotRegistered();
    }

    function _write(
        Provider storage record,
        string calldata endpoint,
        bytes32 gatewayHostKeyHash,
        bytes32 offerDigest,
        address payout
    ) private {
        uint256 length = bytes(endpoint).length;
        if (length == 0 || length > MAX_ENDPOINT_BYTES) revert EndpointLength(length);
        if (payout == address(0)) revert ZeroPayout();
        record.updatedAt = uint64(block.timestamp);
        record.payout = payout;
        record.gatewayHostKeyHash = gatewayHostKeyHash;
        record.offerDigest = offerDigest;
        record.endpoint = endpoint;
    }

    // slither-disable-end reentrancy-no-eth,reentrancy-benign,reentrancy-events
}
