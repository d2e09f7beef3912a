// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Acceptance, Confirmation, End, Order, Review} from "../libraries/Messages.sol";
import {ILedger} from "./ILedger.sol";

/// @title Order, acceptance, confirmation with collateral, extension, end and review of leases.
interface IMarket {
    enum State {
        None,
        Created,
        Accepted,
        Open,
        Ended,
        Cancelled
    }

    /// @param endedAt Block time at which the end was recorded.
    /// @param reason One of the end reasons of docs/protocol.md, section 2.
    struct Lease {
        uint64 endedAt;
        uint8 reason;
        State state;
        bool reviewed;
    }

    /// @notice The three signed messages that open a lease.
    struct Opening {
        Order order;
        bytes orderSignature;
        Acceptance acceptance;
        bytes acceptanceSignature;
        Confirmation confirmation;
        bytes confirmationSignature;
    }

    event OrderCreated(
        uint256 indexed leaseId, address indexed client, address indexed provider, Order order
    );
    event OrderAccepted(uint256 indexed leaseId, bytes32 hostKey, uint64 deadline);
    event OrderCancelled(uint256 indexed leaseId);
    event LeaseOpened(
        uint256 indexed leaseId,
        address indexed client,
        address indexed provider,
        bytes32 orderHash,
        uint96 collateral
    );
    event ToppedUp(uint256 indexed leaseId, address indexed from, uint256 amount, uint64 extraSeconds);
    /// @notice `amount`, `numSeconds` and `at` are what a signed End says; a direct end says 0, 0 and the block's time.
    event LeaseEnded(
        uint256 indexed leaseId, address indexed by, uint8 reason, uint96 amount, uint64 numSeconds, uint64 at
    );
    event Reviewed(
        uint256 indexed leaseId,
        address indexed provider,
        address indexed client,
        uint8 stars,
        uint64 weight,
        uint96 amount,
        string comment
    );

    error ZeroAddress();
    error WrongState(uint256 leaseId, State state);
    error NotClient(address sender);
    error NotProvider(address sender);
    error NotParty(address sender);
    error BadSignature(address signer);
    error DeadlinePassed(uint64 deadline);
    /// @notice An order with this nonce was published, opened or cancelled before.
    error NonceUsed(address client, uint64 nonce);
    /// @notice The acceptance, confirmation or review names another order.
    error OrderMismatch();
    /// @notice The acceptance is not the one that the provider gave or the client confirmed.
    error AcceptanceMismatch();
    error WrongCollateral(uint256 expected, uint256 given);
    /// @notice The value sent is neither 0 nor the price of the extension.
    error WrongValue(uint256 expected, uint256 given);
    error BadDuration(uint64 numSeconds);
    error BadReason(uint8 reason);
    error BadStars(uint8 stars);
    error CommentTooLong(uint256 length);
    error NotClosed(uint256 leaseId);
    error AlreadyReviewed(uint256 leaseId);

    /// @notice Publishes the sender's order.
    function createOrder(Order calldata order) external returns (uint256 leaseId);

    /// @notice Takes back an order that is not confirmed, created here or only signed.
    function cancelOrder(Order calldata order) external;

    /// @notice The provider's answer to a created order.
    function acceptOrder(Order calldata order, Acceptance calldata acceptance) external;

    /// @notice Opens the lease: adds the value to the client's ledger balance, then locks the collateral.
    function confirmOrder(Order calldata order, Acceptance calldata acceptance) external payable;

    /// @notice All three steps at once by signatures; anyone may send it.
    function openLease(
        Order calldata order,
        bytes calldata orderSignature,
        Acceptance calldata acceptance,
        bytes calldata acceptanceSignature,
        Confirmation calldata confirmation,
        bytes calldata confirmationSignature
    ) external returns (uint256 leaseId);

    /// @notice Opens many leases by signatures, or none if one of them cannot be opened; anyone may send it.
    function openLeases(Opening[] calldata openings) external returns (uint256[] memory leaseIds);

    /// @notice Adds `extraSeconds` to an open lease's term and their price to its deposit.
    /// @dev With that value anyone may; without, it is taken from the client's ledger balance, and only the client may.
    function topUp(Order calldata order, uint64 extraSeconds) external payable;

    /// @notice Ends the sender's lease, on either side.
    function endLease(uint256 leaseId, uint8 reason) external;

    /// @notice Records an End that the lease's client or provider signed; anyone may send it.
    function endLeaseSigned(End calldata end, address signer, bytes calldata signature) external;

    /// @notice The client's verdict, once, after the lease is closed in the ledger.
    /// @dev Weighs min(proven seconds, paid / price, closedAt - openedAt): only seconds that were paid for and passed.
    /// @param order The lease's order: it proves the price.
    /// @param stars 1 to 5.
    /// @param comment At most 280 bytes.
    function review(Order calldata order, uint8 stars, string calldata comment) external;

    /// @notice A review that the lease's client signed, until its deadline; anyone may send it.
    function reviewSigned(Order calldata order, Review calldata verdict, bytes calldata signature) external;

    /// @notice The order's EIP-712 digest; its upper 248 bits are the lease id.
    function hashOrder(Order calldata order) external view returns (bytes32);

    /// @notice A lease's market record; all zero if unknown.
    function leaseOf(uint256 leaseId) external view returns (Lease memory);

    /// @notice Number of reviews, sums of their weights in seconds and of stars times weight, and the same two
    /// sums weighted by attoFIL paid.
    function ratingOf(address provider)
        external
        view
        returns (uint64 count, uint96 weight, uint96 weightedStars, uint128 amount, uint128 amountStars);

    function isNonceUsed(address client, uint64 nonce) external view returns (bool);

    function ledger() external view returns (ILedger);
}
