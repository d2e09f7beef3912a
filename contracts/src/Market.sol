// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {Ledger} from "./Ledger.sol";
import {ILedger} from "./interfaces/ILedger.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {Acceptance, Confirmation, End, Messages, Order} from "./libraries/Messages.sol";

/// @title Makes leases out of orders, acceptances and confirmations. Holds no money: the ledger does.
contract Market is IMarket, EIP712 {
    using Messages for Order;
    using Messages for Acceptance;
    using Messages for Confirmation;
    using Messages for End;

    uint64 public constant MAX_LEASE_SECONDS = 10 * 365 days;
    uint256 public constant MAX_COMMENT_BYTES = 280;
    /// @dev The last of the end reasons of docs/protocol.md, section 2: anchor_failed.
    uint8 private constant LAST_REASON = 9;

    struct Rating {
        uint64 count;
        uint96 weight;
        uint96 weightedStars;
    }

    /// @inheritdoc IMarket
    ILedger public immutable ledger;

    mapping(uint256 leaseId => Lease lease) private _leases;
    mapping(uint256 leaseId => bytes32 structHash) private _acceptances;
    mapping(address client => mapping(uint256 word => uint256 bits)) private _nonces;
    mapping(address provider => Rating rating) private _ratings;

    /// @dev Creates its ledger, so that neither can ever be wired to another.
    constructor(IRegistry registry, IVerifier verifier) EIP712("Shale", "1") {
        ledger = new Ledger(registry, verifier);
    }

    /// @inheritdoc IMarket
    function createOrder(Order calldata order) external returns (uint256 leaseId) {
        if (msg.sender != order.client) revert NotClient(msg.sender);
        (, leaseId) = _identify(order);
        Lease storage lease = _leases[leaseId];
        if (lease.state != State.None) revert WrongState(leaseId, lease.state);
        _checkTerms(order);
        _useNonce(order.client, order.nonce);
        lease.state = State.Created;
        emit OrderCreated(leaseId, order.client, order.provider, order);
    }

    /// @inheritdoc IMarket
    function cancelOrder(Order calldata order) external {
        if (msg.sender != order.client) revert NotClient(msg.sender);
        (, uint256 leaseId) = _identify(order);
        Lease storage lease = _leases[leaseId];
        if (lease.state > State.Accepted) revert WrongState(leaseId, lease.state);
        if (lease.state == State.None) _useNonce(order.client, order.nonce);
        lease.state = State.Cancelled;
        delete _acceptances[leaseId];
        emit OrderCancelled(leaseId);
    }

    /// @inheritdoc IMarket
    function acceptOrder(Order calldata order, Acceptance calldata acceptance) external {
        if (msg.sender != order.provider) revert NotProvider(msg.sender);
        (bytes32 orderHash, uint256 leaseId) = _identify(order);
        Lease storage lease = _leases[leaseId];
        if (lease.state != State.Created) revert WrongState(leaseId, lease.state);
        _checkDeadline(order.deadline);
        _checkDeadline(acceptance.deadline);
        if (acceptance.order != orderHash) revert OrderMismatch();
        lease.state = State.Accepted;
        _acceptances[leaseId] = acceptance.hash();
        emit OrderAccepted(leaseId, acceptance.hostKey, acceptance.deadline);
    }

    /// @inheritdoc IMarket
    function confirmOrder(Order calldata order, Acceptance calldata acceptance) external payable {
        if (msg.sender != order.client) revert NotClient(msg.sender);
        (bytes32 orderHash, uint256 leaseId) = _identify(order);
        Lease storage lease = _leases[leaseId];
        if (lease.state != State.Accepted) revert WrongState(leaseId, lease.state);
        _checkDeadline(acceptance.deadline);
        if (_acceptances[leaseId] != acceptance.hash()) revert AcceptanceMismatch();
        delete _acceptances[leaseId];
        _open(order, orderHash, leaseId);
    }

    /// @inheritdoc IMarket
    function openLease(
        Order calldata order,
        bytes calldata orderSignature,
        Acceptance calldata acceptance,
        bytes calldata acceptanceSignature,
        Confirmation calldata confirmation,
        bytes calldata confirmationSignature
    ) external returns (uint256 leaseId) {
        bytes32 orderHash;
        (orderHash, leaseId) = _identify(order);
        State state = _leases[leaseId].state;
        if (state != State.None) revert WrongState(leaseId, state);
        _checkTerms(order);
        _checkChain(orderHash, order, acceptance, confirmation);
        _checkSignature(order.client, orderHash, orderSignature);
        _checkSignature(order.provider, _hashTypedDataV4(acceptance.hash()), acceptanceSignature);
        _checkSignature(order.client, _hashTypedDataV4(confirmation.hash()), confirmationSignature);
        _useNonce(order.client, order.nonce);
        _open(order, orderHash, leaseId);
    }

    /// @inheritdoc IMarket
    function endLease(uint256 leaseId, uint8 reason) external {
        _end(leaseId, msg.sender, reason);
        emit LeaseEnded(leaseId, msg.sender, reason, 0, 0, uint64(block.timestamp));
    }

    /// @inheritdoc IMarket
    function endLeaseSigned(End calldata end, address signer, bytes calldata signature) external {
        uint256 leaseId = uint256(end.order) >> 8;
        _checkSignature(signer, _hashTypedDataV4(end.hash()), signature);
        _end(leaseId, signer, end.reason);
        emit LeaseEnded(leaseId, signer, end.reason, end.amount, end.numSeconds, end.at);
    }

    /// @inheritdoc IMarket
    function review(uint256 leaseId, uint8 stars, string calldata comment) external {
        ILedger.Lease memory account = ledger.leaseOf(leaseId);
        if (msg.sender != account.client) revert NotClient(msg.sender);
        if (stars == 0 || stars > 5) revert BadStars(stars);
        if (bytes(comment).length > MAX_COMMENT_BYTES) revert CommentTooLong(bytes(comment).length);
        if (!account.closed) revert NotClosed(leaseId);
        Lease storage lease = _leases[leaseId];
        if (lease.reviewed) revert AlreadyReviewed(leaseId);
        lease.reviewed = true;
        uint64 weight = _weigh(lease, account);
        Rating storage rating = _ratings[account.provider];
        rating.count += 1;
        rating.weight += weight;
        rating.weightedStars += uint96(weight) * stars;
        emit Reviewed(leaseId, account.provider, account.client, stars, weight, comment);
    }

    /// @inheritdoc IMarket
    function hashOrder(Order calldata order) external view returns (bytes32 orderHash) {
        (orderHash,) = _identify(order);
    }

    /// @inheritdoc IMarket
    function leaseOf(uint256 leaseId) external view returns (Lease memory) {
        return _leases[leaseId];
    }

    /// @inheritdoc IMarket
    function ratingOf(address provider)
        external
        view
        returns (uint64 count, uint96 weight, uint96 weightedStars)
    {
        Rating storage rating = _ratings[provider];
        return (rating.count, rating.weight, rating.weightedStars);
    }

    /// @inheritdoc IMarket
    function isNonceUsed(address client, uint64 nonce) external view returns (bool) {
        return _nonces[client][nonce >> 8] & _bit(nonce) != 0;
    }

    function _open(Order calldata order, bytes32 orderHash, uint256 leaseId) private {
        // Below 2^96: checked when the order entered the chain.
        uint96 collateral = uint96(_collateral(order));
        Lease storage lease = _leases[leaseId];
        lease.price = order.price;
        lease.maxSeconds = order.maxSeconds;
        lease.state = State.Open;
        emit LeaseOpened(leaseId, order.client, order.provider, orderHash, collateral);
        if (msg.value != 0) ledger.depositFor{value: msg.value}(order.client);
        ledger.lock(
            leaseId, order.client, order.provider, collateral, order.payKeyX, order.payKeyY, order.maxSeconds
        );
    }

    function _end(uint256 leaseId, address by, uint8 reason) private {
        Lease storage lease = _leases[leaseId];
        if (lease.state != State.Open) revert WrongState(leaseId, lease.state);
        ILedger.Lease memory account = ledger.leaseOf(leaseId);
        if (by != account.client && by != account.provider) revert NotParty(by);
        if (reason == 0 || reason > LAST_REASON) revert BadReason(reason);
        lease.state = State.Ended;
        lease.reason = reason;
        // The block's time and not the message's: a backdated End must not cut the provider's window short.
        lease.endedAt = uint64(block.timestamp);
        ledger.recordEnd(leaseId);
    }

    function _useNonce(address client, uint64 nonce) private {
        uint256 bit = _bit(nonce);
        uint256 bits = _nonces[client][nonce >> 8];
        if (bits & bit != 0) revert NonceUsed(client, nonce);
        _nonces[client][nonce >> 8] = bits | bit;
    }

    function _identify(Order calldata order) private view returns (bytes32 orderHash, uint256 leaseId) {
        orderHash = _hashTypedDataV4(order.hash());
        leaseId = uint256(orderHash) >> 8;
    }

    /// @dev What an order must satisfy before it may enter the chain.
    function _checkTerms(Order calldata order) private view {
        if (order.client == address(0) || order.provider == address(0)) revert ZeroAddress();
        if (order.maxSeconds == 0 || order.maxSeconds > MAX_LEASE_SECONDS) {
            revert BadDuration(order.maxSeconds);
        }
        uint256 collateral = _collateral(order);
        if (collateral > type(uint96).max) revert WrongCollateral(type(uint96).max, collateral);
        _checkDeadline(order.deadline);
    }

    /// @dev That acceptance and confirmation belong to this order and to each other.
    function _checkChain(
        bytes32 orderHash,
        Order calldata order,
        Acceptance calldata acceptance,
        Confirmation calldata confirmation
    ) private view {
        _checkDeadline(acceptance.deadline);
        _checkDeadline(confirmation.deadline);
        if (acceptance.order != orderHash || confirmation.order != orderHash) revert OrderMismatch();
        if (confirmation.acceptance != acceptance.hash()) revert AcceptanceMismatch();
        uint256 collateral = _collateral(order);
        if (confirmation.collateral != collateral) {
            revert WrongCollateral(collateral, confirmation.collateral);
        }
    }

    function _checkDeadline(uint64 deadline) private view {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
    }

    function _checkSignature(address signer, bytes32 digest, bytes calldata signature) private view {
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature)) {
            revert BadSignature(signer);
        }
    }

    function _collateral(Order calldata order) private pure returns (uint256) {
        return uint256(order.price) * order.maxSeconds;
    }

    /// @dev A voucher's seconds are only the client's word; what was paid for them bounds what they count for.
    function _weigh(Lease storage lease, ILedger.Lease memory account) private view returns (uint64) {
        if (lease.price == 0) return 0;
        uint256 bought = account.paid / lease.price;
        // forge-lint: disable-next-line(unsafe-typecast) (the smaller of the two is a uint64)
        return bought < account.numSeconds ? uint64(bought) : account.numSeconds;
    }

    /// @dev The nonce's bit in its word of 256.
    function _bit(uint64 nonce) private pure returns (uint256) {
        // forge-lint: disable-next-line(incorrect-shift) (one bit, shifted: in this order)
        return 1 << (nonce & 0xff);
    }
}
