// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {IRegistry} from "./IRegistry.sol";
import {IVerifier} from "./IVerifier.sol";

/// @title Client balances, deposits of leases, and a Merkle root of redeemed amounts per provider that moves only by proof.
interface ILedger {
    /// @notice None: unknown. Locked: deposited, not in the tree. Inserted: in the tree. Closed: paid out, for good.
    enum State {
        None,
        Locked,
        Inserted,
        Closed
    }

    /// @param overdueAt From when anyone may close the lease.
    /// @param key keccak256(payKeyX ‖ payKeyY) with its last byte zero, until the lease is closed; then 0.
    /// @param paid What the provider earned, written at close, like all below.
    /// @param numSeconds Seconds that the client's vouchers confirmed.
    /// @param reason End reason by the word of who closed it; 0 if not given.
    /// @param openedAt When the deposit was locked; kept after the close.
    struct Lease {
        address client;
        uint64 overdueAt;
        State state;
        address provider;
        uint96 deposit;
        bytes32 key;
        uint96 paid;
        uint64 numSeconds;
        uint8 reason;
        uint64 closedAt;
        uint64 openedAt;
    }

    /// @notice A lease to be opened.
    struct Opened {
        uint256 leaseId;
        address client;
        address provider;
        uint96 deposit;
        uint64 maxSeconds;
        uint256 payKeyX;
        uint256 payKeyY;
    }

    event Deposited(address indexed client, address from, uint256 amount);
    event Withdrawn(address indexed client, uint256 amount);
    event Locked(
        uint256 indexed leaseId,
        address indexed client,
        address indexed provider,
        uint96 deposit,
        uint256 payKeyX,
        uint256 payKeyY
    );
    event DepositRaised(uint256 indexed leaseId, uint96 deposit, uint64 overdueAt);
    event Settled(
        address indexed provider, uint256 oldRoot, uint256 newRoot, uint32 window, uint16 size, uint256 earned
    );
    /// @notice One operation of a batch, in order: with `Locked`, enough to rebuild every leaf.
    event Operation(
        address indexed provider,
        uint256 indexed leaseId,
        uint32 index,
        uint8 flags,
        uint96 amount,
        uint64 numSeconds
    );
    /// @notice A lease was closed on the root at which its close was demanded. The shard's root did not move and
    /// the leaf stays in the tree for ever; no operation can touch it.
    event Exited(address indexed provider, uint256 indexed leaseId, uint256 root, uint32 index);
    event Closed(
        uint256 indexed leaseId,
        address indexed client,
        address indexed provider,
        uint96 paid,
        uint96 refund,
        uint64 numSeconds,
        uint8 reason
    );
    event Collected(address indexed provider, address payout, uint256 amount);
    event CloseDemanded(address indexed provider, uint256 indexed leaseId);

    error NotMarket();
    error ZeroAddress();
    /// @notice A development verifying key, whose secrets are known, on Filecoin's mainnet.
    error UnsafeVerifyingKey();
    error InsufficientBalance(uint256 balance, uint256 needed);
    error LeaseExists(uint256 leaseId);
    error UnknownLease(uint256 leaseId);
    error LeaseClosed(uint256 leaseId);
    /// @notice The lease is overdue: it can only be closed.
    error LeaseOverdue(uint256 leaseId, uint256 since);
    /// @notice The lease is in the tree already, or not in it.
    error WrongLeaseState(uint256 leaseId, State state);
    error WrongValue(uint256 expected, uint256 given);
    error DepositTooLarge(uint256 deposit);
    error TermTooLong(uint256 numSeconds);
    /// @notice There is no circuit for batches of this size.
    error BatchSize(uint256 size);
    error BadWindow(uint256 window);
    /// @notice The shard's root is `current`: rebuild the batch on it.
    error StaleRoot(uint256 current);
    error NotAWord(uint256 value);
    /// @notice The packed operations are cut short, out of order, empty or of an unknown kind at this byte.
    error BadOperations(uint256 offset);
    error NotProviderLease(uint256 leaseId);
    /// @notice The payment key is not the one that the lease was locked with.
    error WrongPayKey(uint256 leaseId);
    error AboveDeposit(uint256 leaseId, uint256 amount);
    /// @notice The lease is overdue: every operation on it must close it.
    error OverdueMustClose(uint256 leaseId);
    /// @notice Only the provider's operator may claim or insert without closing.
    error ProviderOnly(uint256 leaseId);
    /// @notice Others than the provider's operator may do this from `from` on.
    error NotAllowedYet(uint256 leaseId, uint256 from);
    /// @notice The batch pays out more than the provider's open leases hold.
    error ShardOverdrawn(address provider, uint256 held, uint256 needed);
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

    /// @notice Moves deposits from their clients' balances into new leases. Market only.
    function lockMany(Opened[] calldata opened) external;

    /// @notice Raises an open lease's deposit and lengthens its term. Market only.
    /// @dev Paid by the value if it is not 0, else from the client's balance. Refused once the lease is overdue,
    /// so that a lease that is overdue stays so.
    function raise(uint256 leaseId, uint96 amount, uint64 extraSeconds) external payable;

    /// @notice Starts the window after which anyone may close the lease. Market only.
    function recordEnd(uint256 leaseId) external returns (address client, address provider);

    /// @notice Moves a provider's root by one batch, and the money with it.
    /// @dev The provider's operator settles freely; of a lease that is overdue only the close. Anyone else may only
    /// close leases that are overdue. A batch of closes may also start from the root at which they were demanded:
    /// then the shard's root stays, so nothing that the provider does can outrun it.
    /// @param window The batch covers the leaves `window * size` to `window * size + size - 1`.
    /// @param size 1, 8, 64 or 256.
    /// @param oldRoot The root that the proof starts from.
    /// @param earned What the batch's claims add to the provider's earnings; proven.
    /// @param ops Packed operations (docs/protocol.md, section 4), in ascending order of their slots.
    /// @param c Poseidon2 digest of the batch's words, checked by the proof.
    function settle(
        address provider,
        uint32 window,
        uint16 size,
        uint256 oldRoot,
        uint256 newRoot,
        uint256 earned,
        bytes calldata ops,
        uint256 c,
        uint256[8] calldata proof
    ) external;

    /// @notice Gives back the whole deposits of leases that are not in the tree; no proof.
    /// @dev For the provider's operator at any time, for anyone once they are overdue.
    function refund(uint256[] calldata leaseIds) external;

    /// @notice Remembers the shard's root for the close of an overdue lease that is in the tree, and makes that
    /// close the shard's next move unless another lease's is.
    function demandClose(uint256 leaseId) external;

    /// @notice Pays what the sender has earned as a provider to its registered payout address.
    function collect() external returns (uint256 amount);

    /// @notice What a client may withdraw or lock.
    function balanceOf(address client) external view returns (uint256);

    /// @notice A provider's root, its uncollected earnings, and the lease that the next batch must close, or 0.
    function shardOf(address provider) external view returns (uint256 root, uint256 owed, uint256 demanded);

    /// @notice What a provider's open leases still hold: deposits less what was redeemed of them.
    function heldOf(address provider) external view returns (uint256);

    /// @notice The root at which the lease's close was demanded, 0 if it was not.
    function demandedRootOf(uint256 leaseId) external view returns (uint256);

    /// @notice A lease's record; all zero if unknown.
    function leaseOf(uint256 leaseId) external view returns (Lease memory);

    /// @notice What vouchers and proofs are bound to: this chain, this contract, these verifying keys.
    function domain() external view returns (uint256);

    /// @notice keccak256 of the four verifying keys' hashes, in order of their sizes.
    function verifyingKeysHash() external pure returns (bytes32);

    /// @notice The verifier for batches of 1, 8, 64 or 256 slots.
    function verifierOf(uint16 size) external view returns (IVerifier);

    function market() external view returns (address);
    function registry() external view returns (IRegistry);
}
