// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

/// @title Where providers stand with their endpoints, keys and payout addresses.
interface IRegistry {
    /// @param operator The address that registered and signs for the provider.
    /// @param minerId The miner actor that the operator was shown to control; 0 if none.
    /// @param updatedAt Unix seconds of the last change.
    /// @param active False after retirement.
    /// @param payout Where the ledger pays what the provider earned.
    /// @param gatewayHostKeyHash keccak256 of the SSH gateway's public host key, one OpenSSH line.
    /// @param offerDigest EIP-712 digest of the current offer, or zero.
    /// @param endpoint HTTP URL of the provider's API.
    struct Provider {
        address operator;
        uint64 minerId;
        uint64 updatedAt;
        bool active;
        address payout;
        bytes32 gatewayHostKeyHash;
        bytes32 offerDigest;
        string endpoint;
    }

    event ProviderRegistered(
        address indexed operator,
        uint64 indexed minerId,
        string endpoint,
        bytes32 gatewayHostKeyHash,
        bytes32 offerDigest,
        address payout
    );
    event ProviderUpdated(
        address indexed operator,
        string endpoint,
        bytes32 gatewayHostKeyHash,
        bytes32 offerDigest,
        address payout
    );
    event MinerBound(address indexed operator, uint64 indexed minerId);
    event ProviderRetired(address indexed operator);

    error AlreadyRegistered();
    error NotRegistered();
    error EndpointLength(uint256 length);
    error ZeroPayout();
    /// @notice The FVM did not confirm that `operator` is an owner, worker or control address of the miner.
    error NotMinerController(uint64 minerId, address operator);

    /// @notice Puts the sender on the list, or back on it after retirement.
    /// @param minerId 0, or a miner that the sender controls.
    function register(
        uint64 minerId,
        string calldata endpoint,
        bytes32 gatewayHostKeyHash,
        bytes32 offerDigest,
        address payout
    ) external;

    /// @notice Replaces all of the sender's record but the miner.
    function update(string calldata endpoint, bytes32 gatewayHostKeyHash, bytes32 offerDigest, address payout)
        external;

    /// @notice Binds the sender to a miner that it controls; 0 unbinds.
    function bindMiner(uint64 minerId) external;

    /// @notice Marks the sender's record inactive. Running leases and payouts go on.
    function retire() external;

    /// @notice The record of an operator; all zero if it never registered.
    function providerOf(address operator) external view returns (Provider memory);

    /// @notice Where to pay an operator; zero if it never registered.
    function payoutOf(address operator) external view returns (address);

    /// @notice How many operators ever registered.
    function count() external view returns (uint256);

    /// @notice Records `offset` to `offset + limit - 1` in order of first registration, fewer at the end.
    function page(uint256 offset, uint256 limit) external view returns (Provider[] memory);
}
