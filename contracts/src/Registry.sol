// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {IRegistry} from "./interfaces/IRegistry.sol";
import {MinerActor} from "./libraries/MinerActor.sol";

/// @title The list of providers. Each operator writes its own record; nobody else can.
contract Registry is IRegistry {
    uint256 public constant MAX_ENDPOINT_BYTES = 256;

    mapping(address operator => Provider record) private _providers;
    address[] private _operators;

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
        _checkMiner(minerId);
        if (record.operator == address(0)) {
            record.operator = msg.sender;
            _operators.push(msg.sender);
        }
        record.active = true;
        record.minerId = minerId;
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
        _checkMiner(minerId);
        record.minerId = minerId;
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

    function _checkMiner(uint64 minerId) private {
        if (minerId != 0 && !MinerActor.isControlledBy(minerId, msg.sender)) {
            revert NotMinerController(minerId, msg.sender);
        }
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
}
