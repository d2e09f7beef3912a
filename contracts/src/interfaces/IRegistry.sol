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
    event MinerAuthorized(uint64 indexed minerId, address indexed operator, address indexed controller);
    event MinerRevoked(uint64 indexed minerId, address indexed operator, address indexed by);
    event MinerUnbound(address indexed operator, uint64 indexed minerId);
    event ProviderRetired(address indexed operator);

    error AlreadyRegistered();
    error NotRegistered();
    error EndpointLength(uint256 length);
    error ZeroPayout();
    /// @notice The FVM did not confirm that `sender` controls the miner (is its owner, worker or a control address),
    /// nor that one who does vouches for it.
    error NotMinerController(uint64 minerId, address sender);
    error NotBound(address operator);
    error NotAuthorized(uint64 minerId, address operator);
    /// @notice The FVM gave no clear answer on who controls the miner: try again later.
    error MinerDidNotAnswer(uint64 minerId);

    /// @notice The sender, who controls the miner, vouches that `operator` acts for it.
    /// @dev For owners that are no Ethereum accounts (f1, f3, multisig): they call by InvokeEVM and arrive as a
    /// masked id. The operator then binds the miner itself.
    function authorize(uint64 minerId, address operator) external;

    /// @notice Takes an authorization back, and unbinds the operator if it is bound by it. For whoever gave it, and
    /// for whoever controls the miner now.
    function revoke(uint64 minerId, address operator) external;

    /// @notice Asks again whether the operator's miner is still controlled by whom it was bound through, and unbinds
    /// it if not. Anyone may ask.
    function recheck(address operator) external;

    /// @notice Puts the sender on the list, or back on it after retirement.
    /// @param minerId 0, or a miner that the sender controls or is authorized for.
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

    /// @notice Binds the sender to a miner that it controls or is authorized for; 0 unbinds.
    function bindMiner(uint64 minerId) external;

    /// @notice Marks the sender's record inactive. Running leases and payouts go on.
    function retire() external;

    /// @notice The record of an operator; all zero if it never registered.
    function providerOf(address operator) external view returns (Provider memory);

    /// @notice Where to pay an operator; zero if it never registered.
    function payoutOf(address operator) external view returns (address);

    /// @notice Who vouched that the operator acts for the miner; zero if nobody did.
    function authorizedBy(uint64 minerId, address operator) external view returns (address);

    /// @notice Through whom the operator is bound to its miner: itself or who authorized it; zero if not bound.
    function boundBy(address operator) external view returns (address);

    /// @notice How many operators ever registered.
    function count() external view returns (uint256);

    /// @notice Records `offset` to `offset + limit - 1` in order of first registration, fewer at the end.
    function page(uint256 offset, uint256 limit) external view returns (Provider[] memory);
}
