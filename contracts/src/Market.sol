// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {Ledger} from "./Ledger.sol";
import {ILedger} from "./interfaces/ILedger.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {Acceptance, Confirmation, End, Messages, Order, Review} from "./libraries/Messages.sol";
import {LAST_REASON} from "./libraries/PackedOps.sol";
import {Rating, Ratings} from "./libraries/Ratings.sol";
import {MAX_TERM} from "./libraries/Records.sol";

/// @title Makes leases out of orders, acceptances and confirmations. Holds no money: the ledger does.
contract Market is IMarket, EIP712 {
    using Messages for Order;
    using Messages for Acceptance;
    using Messages for Confirmation;
    using Messages for End;
    using Messages for Review;
    using Ratings for Rating;

    uint64 public constant MAX_LEASE_SECONDS = MAX_TERM;
    uint256 public constant MAX_COMMENT_BYTES = 280;

    /// @dev All that the market keeps of an order, in one slot. Nothing of one that is open, or was never published:
    /// then the state is None here, and the ledger knows.
    /// @param acceptance Of an accepted order: the first bytes of the acceptance's hash.
    struct Entry {
        bytes20 acceptance;
        uint64 endedAt;
        uint8 reason;
        State state;
        bool reviewed;
    }

    /// @inheritdoc IMarket
    ILedger public immutable ledger;

    mapping(uint256 leaseId => Entry entry) private _entries;
    mapping(address client => mapping(uint256 word => uint256 bits)) private _nonces;
    mapping(address provider => Rating rating) private _ratings;

    /// @dev Creates its ledger, so that neither can ever be wired to another.
    /// @param verifiers For batches of 1, 8, 64 and 256 slots.
    constructor(IRegistry registry, IVerifier[4] memory verifiers) EIP712("Shale", "1") {
        ledger = new Ledger(registry, verifiers);
    }

    /// @inheritdoc IMarket
    function createOrder(Order calldata order) external returns (uint256 leaseId) {
        if (msg.sender != order.client) revert NotClient(msg.sender);
        (, leaseId) = _identify(order);
        _checkTerms(order);
        _useNonce(order.client, order.nonce);
        _entries[leaseId].state = State.Created;
        emit OrderCreated(leaseId, order.client, order.provider, order);
    }

    /// @inheritdoc IMarket
    function cancelOrder(Order calldata order) external {
        if (msg.sender != order.client) revert NotClient(msg.sender);
        (, uint256 leaseId) = _identify(order);
        State state = _stateOf(leaseId);
        if (state > State.Accepted) revert WrongState(leaseId, state);
        if (state == State.None) _useNonce(order.client, order.nonce);
        Entry storage entry = _entries[leaseId];
        entry.state = State.Cancelled;
        entry.acceptance = 0;
        emit OrderCancelled(leaseId);
    }

    /// @inheritdoc IMarket
    function acceptOrder(Order calldata order, Acceptance calldata acceptance) external {
        if (msg.sender != order.provider) revert NotProvider(msg.sender);
        (bytes32 orderHash, uint256 leaseId) = _identify(order);
        Entry storage entry = _entries[leaseId];
        if (entry.state != State.Created) revert WrongState(leaseId, _stateOf(leaseId));
        _checkDeadline(order.deadline);
        _checkDeadline(acceptance.deadline);
        if (acceptance.order != orderHash) revert OrderMismatch();
        entry.state = State.Accepted;
        entry.acceptance = bytes20(acceptance.hash());
        emit OrderAccepted(leaseId, acceptance.hostKey, acceptance.deadline);
    }

    /// @inheritdoc IMarket
    function confirmOrder(Order calldata order, Acceptance calldata acceptance) external payable {
        if (msg.sender != order.client) revert NotClient(msg.sender);
        (bytes32 orderHash, uint256 leaseId) = _identify(order);
        Entry storage entry = _entries[leaseId];
        if (entry.state != State.Accepted) revert WrongState(leaseId, _stateOf(leaseId));
        _checkDeadline(acceptance.deadline);
        if (entry.acceptance != bytes20(acceptance.hash())) revert AcceptanceMismatch();
        delete _entries[leaseId];
        ILedger.Opened[] memory opened = new ILedger.Opened[](1);
        opened[0] = _opened(order, orderHash, leaseId);
        if (msg.value != 0) ledger.depositFor{value: msg.value}(order.client);
        ledger.lockMany(opened);
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
        ILedger.Opened[] memory opened = new ILedger.Opened[](1);
        opened[0] = _openSigned(
            order, orderSignature, acceptance, acceptanceSignature, confirmation, confirmationSignature
        );
        leaseId = opened[0].leaseId;
        ledger.lockMany(opened);
    }

    /// @inheritdoc IMarket
    function openLeases(Opening[] calldata openings) external returns (uint256[] memory leaseIds) {
        ILedger.Opened[] memory opened = new ILedger.Opened[](openings.length);
        leaseIds = new uint256[](openings.length);
        for (uint256 i = 0; i < openings.length; ++i) {
            Opening calldata each = openings[i];
            opened[i] = _openSigned(
                each.order,
                each.orderSignature,
                each.acceptance,
                each.acceptanceSignature,
                each.confirmation,
                each.confirmationSignature
            );
            leaseIds[i] = opened[i].leaseId;
        }
        ledger.lockMany(opened);
    }

    /// @inheritdoc IMarket
    function topUp(Order calldata order, uint64 extraSeconds) external payable {
        (, uint256 leaseId) = _identify(order);
        // An order that was not opened has no lease in the ledger, which refuses then.
        State state = _entries[leaseId].state;
        if (state != State.None) revert WrongState(leaseId, state);
        if (extraSeconds == 0 || extraSeconds > MAX_LEASE_SECONDS) revert BadDuration(extraSeconds);
        uint256 amount = uint256(order.price) * extraSeconds;
        if (amount > type(uint96).max) revert WrongCollateral(type(uint96).max, amount);
        if (msg.value == 0) {
            if (msg.sender != order.client) revert NotClient(msg.sender);
        } else if (msg.value != amount) {
            revert WrongValue(amount, msg.value);
        }
        emit ToppedUp(leaseId, msg.sender, amount, extraSeconds);
        // forge-lint: disable-next-line(unsafe-typecast) (checked above)
        ledger.raise{value: msg.value}(leaseId, uint96(amount), extraSeconds);
    }

    /// @inheritdoc IMarket
    function endLease(uint256 leaseId, uint8 reason) external {
        _end(leaseId, msg.sender, reason);
        // slither-disable-next-line reentrancy-events (the call was to our own ledger)
        emit LeaseEnded(leaseId, msg.sender, reason, 0, 0, uint64(block.timestamp));
    }

    /// @inheritdoc IMarket
    function endLeaseSigned(End calldata end, address signer, bytes calldata signature) external {
        uint256 leaseId = uint256(end.order) >> 8;
        _checkSignature(signer, _hashTypedDataV4(end.hash()), signature);
        _end(leaseId, signer, end.reason);
        // slither-disable-next-line reentrancy-events (the call was to our own ledger)
        emit LeaseEnded(leaseId, signer, end.reason, end.amount, end.numSeconds, end.at);
    }

    /// @inheritdoc IMarket
    function review(Order calldata order, uint8 stars, string calldata comment) external {
        if (msg.sender != order.client) revert NotClient(msg.sender);
        (, uint256 leaseId) = _identify(order);
        _review(order, leaseId, stars, comment);
    }

    /// @inheritdoc IMarket
    function reviewSigned(Order calldata order, Review calldata verdict, bytes calldata signature) external {
        (bytes32 orderHash, uint256 leaseId) = _identify(order);
        if (verdict.order != orderHash) revert OrderMismatch();
        _checkDeadline(verdict.deadline);
        _checkSignature(order.client, _hashTypedDataV4(verdict.hash()), signature);
        _review(order, leaseId, verdict.stars, verdict.comment);
    }

    /// @inheritdoc IMarket
    function hashOrder(Order calldata order) external view returns (bytes32 orderHash) {
        (orderHash,) = _identify(order);
    }

    /// @inheritdoc IMarket
    function leaseOf(uint256 leaseId) external view returns (Lease memory) {
        Entry storage entry = _entries[leaseId];
        return Lease(entry.endedAt, entry.reason, _stateOf(leaseId), entry.reviewed);
    }

    /// @inheritdoc IMarket
    function ratingOf(address provider)
        external
        view
        returns (uint64 count, uint96 weight, uint96 weightedStars, uint128 amount, uint128 amountStars)
    {
        Rating storage rating = _ratings[provider];
        return (rating.count, rating.weight, rating.weightedStars, rating.amount, rating.amountStars);
    }

    /// @inheritdoc IMarket
    function isNonceUsed(address client, uint64 nonce) external view returns (bool) {
        return _nonces[client][nonce >> 8] & _bit(nonce) != 0;
    }

    /// @dev Checks one opening whole and uses up its nonce, which also refuses every order that was published,
    /// opened or cancelled before.
    function _openSigned(
        Order calldata order,
        bytes calldata orderSignature,
        Acceptance calldata acceptance,
        bytes calldata acceptanceSignature,
        Confirmation calldata confirmation,
        bytes calldata confirmationSignature
    ) private returns (ILedger.Opened memory) {
        (bytes32 orderHash, uint256 leaseId) = _identify(order);
        _checkTerms(order);
        _checkChain(orderHash, order, acceptance, confirmation);
        _checkSignature(order.client, orderHash, orderSignature);
        _checkSignature(order.provider, _hashTypedDataV4(acceptance.hash()), acceptanceSignature);
        _checkSignature(order.client, _hashTypedDataV4(confirmation.hash()), confirmationSignature);
        _useNonce(order.client, order.nonce);
        return _opened(order, orderHash, leaseId);
    }

    /// @dev Announces the lease; the ledger makes it.
    function _opened(Order calldata order, bytes32 orderHash, uint256 leaseId)
        private
        returns (ILedger.Opened memory)
    {
        // Below 2^96: checked when the order entered the chain.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint96 collateral = uint96(_collateral(order));
        emit LeaseOpened(leaseId, order.client, order.provider, orderHash, collateral);
        return ILedger.Opened({
            leaseId: leaseId,
            client: order.client,
            provider: order.provider,
            deposit: collateral,
            maxSeconds: order.maxSeconds,
            payKeyX: order.payKeyX,
            payKeyY: order.payKeyY
        });
    }

    function _end(uint256 leaseId, address by, uint8 reason) private {
        Entry storage entry = _entries[leaseId];
        if (entry.state != State.None) revert WrongState(leaseId, entry.state);
        if (reason == 0 || reason > LAST_REASON) revert BadReason(reason);
        entry.state = State.Ended;
        entry.reason = reason;
        // The block's time and not the message's: a backdated End must not cut the provider's window short.
        entry.endedAt = uint64(block.timestamp);
        (address client, address provider) = ledger.recordEnd(leaseId);
        if (client == address(0)) revert WrongState(leaseId, State.None);
        if (by != client && by != provider) revert NotParty(by);
    }

    /// @dev A lease takes one review, so a signed one cannot be replayed. That the order's client gives it has been
    /// checked: the order makes the lease's id, and so proves client, provider and price.
    function _review(Order calldata order, uint256 leaseId, uint8 stars, string calldata comment) private {
        if (stars == 0 || stars > 5) revert BadStars(stars);
        if (bytes(comment).length > MAX_COMMENT_BYTES) revert CommentTooLong(bytes(comment).length);
        Entry storage entry = _entries[leaseId];
        if (entry.reviewed) revert AlreadyReviewed(leaseId);
        entry.reviewed = true;
        ILedger.Lease memory account = ledger.leaseOf(leaseId);
        if (account.state != ILedger.State.Closed) revert NotClosed(leaseId);
        uint64 weight = Ratings.weigh(order.price, account);
        _ratings[order.provider].add(stars, weight, account.paid);
        emit Reviewed(leaseId, order.provider, order.client, stars, weight, account.paid, comment);
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

    function _stateOf(uint256 leaseId) private view returns (State state) {
        state = _entries[leaseId].state;
        if (state == State.None && ledger.leaseOf(leaseId).state != ILedger.State.None) state = State.Open;
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

    /// @dev The nonce's bit in its word of 256.
    function _bit(uint64 nonce) private pure returns (uint256) {
        // forge-lint: disable-next-line(incorrect-shift) (one bit, shifted: in this order)
        return 1 << (nonce & 0xff);
    }
}
