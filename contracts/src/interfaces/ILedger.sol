// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {IRegistry} from "./IRegistry.sol";
import {IVerifier} from "./IVerifier.sol";

/// @title Client balances, locked collateral, and a Merkle root of lease balances per provider that moves only by proof.
interface ILedger {
    /// @notice One update of one lease's leaf (docs/protocol.md, section 4).
    /// @param flags insert = 1, claim = 2, close = 4, added.
    /// @param payKeyX,payKeyY The payment key if insert, else 0.
    struct Op {
        uint256 leaseId;
        uint32 index;
        uint8 flags;
        uint64 numSeconds;
        uint96 deposit;
        uint96 amount;
        uint96 prevAmount;
        uint256 payKeyX;
        uint256 payKeyY;
    }

    /// @param overdueAt From when anyone may close the lease.
    /// @param paid What the provider earned, written at close.
    /// @param numSeconds Seconds that the client's vouchers confirmed, written at close.
    /// @param queueIndex The lease's place in its provider's deposit queue.
    struct Lease {
        address client;
        uint64 overdueAt;
        bool closed;
        address provider;
        uint96 deposit;
        uint96 paid;
        uint64 numSeconds;
        uint48 openedAt;
        uint48 queueIndex;
    }

    event Deposited(address indexed client, address from, uint256 amount);
    event Withdrawn(address indexed client, uint256 amount);
    event Locked(
        uint256 indexed leaseId,
        address indexed client,
        address indexed provider,
        uint96 deposit,
        uint256 payKeyX,
        uint256 payKeyY,
        uint64 queueIndex
    );
    event Settled(address indexed provider, uint256 oldRoot, uint256 newRoot, uint256 earned);
    /// @notice One operation of a batch, in order: with `Locked`, enough to rebuild every leaf.
    event Operation(
        address indexed provider,
        uint256 indexed leaseId,
        uint32 index,
        uint8 flags,
        uint96 amount,
        uint64 numSeconds
    );
    event Closed(
        uint256 indexed leaseId,
        address indexed client,
        address indexed provider,
        uint96 paid,
        uint96 refund,
        uint64 numSeconds
    );
    event Collected(address indexed provider, address payout, uint256 amount);
    event CloseDemanded(address indexed provider, uint256 indexed leaseId);

    error NotMarket();
    error ZeroAddress();
    /// @notice A development verifying key, whose secrets are known, on Filecoin's mainnet.
    error UnsafeVerifyingKey();
    error InsufficientBalance(uint256 balance, uint256 needed);
    /// @notice The payment key is not a point of the curve, or one of low order.
    error BadPayKey();
    error LeaseExists(uint256 leaseId);
    error UnknownLease(uint256 leaseId);
    error LeaseClosed(uint256 leaseId);
    error BatchSize(uint256 size);
    /// @notice The shard's root is `current`: rebuild the batch on it.
    error StaleRoot(uint256 current);
    error NotAWord(uint256 value);
    /// @notice The operation's fields contradict each other.
    error BadOperation(uint256 position);
    /// @notice The insert is not the next deposit in the queue.
    error QueueMismatch(uint256 position);
    error NotProviderLease(uint256 leaseId);
    /// @notice Only the provider's operator may claim without closing.
    error ProviderOnly(uint256 leaseId);
    /// @notice Others than the provider's operator may do this from `from` on.
    error NotAllowedYet(uint256 leaseId, uint256 from);
    /// @notice The shard takes no other batch before this lease is closed.
    error MustClose(uint256 leaseId);
    error AlreadyDemanded(uint256 leaseId);
    error NothingOwed();

    /// @notice Adds the value to the sender's balance.
    function deposit() external payable;

    /// @notice Adds the value to a client's balance.
    function depositFor(address client) external payable;

    /// @notice Pays the sender out of its balance.
    function withdraw(uint256 amount) external;

    /// @notice Moves collateral from the client's balance into a lease and queues it for insertion. Market only.
    function lock(
        uint256 leaseId,
        address client,
        address provider,
        uint96 collateral,
        uint256 payKeyX,
        uint256 payKeyY,
        uint64 maxSeconds
    ) external;

    /// @notice Starts the window after which anyone may close the lease. Market only.
    function recordEnd(uint256 leaseId) external;

    /// @notice Moves a provider's root by up to eight operations, and the money with it.
    /// @dev The provider's operator settles freely. Anyone else may only close leases that are overdue, and
    /// insert deposits that have waited for the window.
    /// @param oldRoot The root that the proof starts from; must be the current one.
    /// @param ops The real operations; padding is implied.
    /// @param c Poseidon2 digest of the 43 words, checked by the proof.
    function settle(
        address provider,
        uint256 oldRoot,
        uint256 newRoot,
        Op[] calldata ops,
        uint256 c,
        uint256[8] calldata proof
    ) external;

    /// @notice Makes the close of an overdue lease the shard's next move, so that its exit cannot be outrun.
    function demandClose(uint256 leaseId) external;

    /// @notice Pays what the sender has earned as a provider to its registered payout address.
    function collect() external returns (uint256 amount);

    /// @notice What a client may withdraw or lock.
    function balanceOf(address client) external view returns (uint256);

    /// @notice A provider's root, deposit queue bounds [head, tail), uncollected earnings, and demanded lease or 0.
    function shardOf(address provider)
        external
        view
        returns (uint256 root, uint64 queueHead, uint64 queueTail, uint256 owed, uint256 demanded);

    /// @notice A lease's record; all zero if unknown.
    function leaseOf(uint256 leaseId) external view returns (Lease memory);

    /// @notice A waiting deposit: keccak256(abi.encode(leaseId, payKeyX, payKeyY, deposit)), zero once inserted.
    function queued(address provider, uint64 queueIndex) external view returns (bytes32);

    /// @notice What vouchers and proofs are bound to: this chain, this contract, this verifying key.
    function domain() external view returns (uint256);

    /// @notice keccak256 of gnark's raw verifying key.
    function verifyingKeyHash() external pure returns (bytes32);

    function market() external view returns (address);
    function registry() external view returns (IRegistry);
    function verifier() external view returns (IVerifier);
}
