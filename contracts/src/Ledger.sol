// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

import {VerifyingKey} from "./generated/VerifyingKey.sol";
import {ILedger} from "./interfaces/ILedger.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {BATCH, BatchWords, P} from "./libraries/BatchWords.sol";
import {PayKey} from "./libraries/PayKey.sol";

/// @title Shale's layer 2: holds all money, and moves each provider's root of lease balances only with a proof.
/// @dev Owes at any time the sum of client balances, of what open leases still hold, and of uncollected earnings.
contract Ledger is ILedger {
    /// @notice How long after a lease's end only its provider may close it, and how long it has to insert a deposit.
    uint64 public constant WINDOW = 24 hours;
    uint256 private constant MAX_INDEX = 1 << 20;
    uint256 private constant FILECOIN_MAINNET = 314;
    uint8 private constant INSERT = 1;
    uint8 private constant CLAIM = 2;
    uint8 private constant CLOSE = 4;

    /// @param root 0 stands for the empty tree's root.
    /// @param demanded The lease that the next batches must get closed, or 0.
    struct Shard {
        uint256 root;
        uint48 queueHead;
        uint48 queueTail;
        uint128 owed;
        uint256 demanded;
        mapping(uint256 queueIndex => bytes32 entry) queue;
    }

    /// @inheritdoc ILedger
    address public immutable market;
    /// @inheritdoc ILedger
    IRegistry public immutable registry;
    /// @inheritdoc ILedger
    IVerifier public immutable verifier;

    /// @inheritdoc ILedger
    mapping(address client => uint256 balance) public balanceOf;
    mapping(address provider => Shard shard) private _shards;
    mapping(uint256 leaseId => Lease lease) private _leases;

    modifier onlyMarket() {
        _checkMarket();
        _;
    }

    /// @dev Created by its market.
    constructor(IRegistry registry_, IVerifier verifier_) {
        if (address(registry_).code.length == 0 || address(verifier_).code.length == 0) revert ZeroAddress();
        if (VerifyingKey.UNSAFE_DEVELOPMENT && block.chainid == FILECOIN_MAINNET) {
            revert UnsafeVerifyingKey();
        }
        market = msg.sender;
        registry = registry_;
        verifier = verifier_;
    }

    /// @inheritdoc ILedger
    function deposit() external payable {
        _credit(msg.sender);
    }

    /// @inheritdoc ILedger
    function depositFor(address client) external payable {
        if (client == address(0)) revert ZeroAddress();
        _credit(client);
    }

    /// @inheritdoc ILedger
    function withdraw(uint256 amount) external {
        _debit(msg.sender, amount);
        emit Withdrawn(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc ILedger
    function lock(
        uint256 leaseId,
        address client,
        address provider,
        uint96 collateral,
        uint256 payKeyX,
        uint256 payKeyY,
        uint64 maxSeconds
    ) external onlyMarket {
        if (_leases[leaseId].client != address(0)) revert LeaseExists(leaseId);
        // A key that is no word or no point could never be inserted, and would block the queue behind it.
        if (!PayKey.isValid(payKeyX, payKeyY)) revert BadPayKey();
        _debit(client, collateral);
        Shard storage shard = _shards[provider];
        uint48 queueIndex = shard.queueTail++;
        shard.queue[queueIndex] = keccak256(abi.encode(leaseId, payKeyX, payKeyY, collateral));
        _leases[leaseId] = Lease({
            client: client,
            overdueAt: uint64(block.timestamp) + maxSeconds + WINDOW,
            closed: false,
            provider: provider,
            deposit: collateral,
            paid: 0,
            numSeconds: 0,
            openedAt: uint48(block.timestamp),
            queueIndex: queueIndex
        });
        emit Locked(leaseId, client, provider, collateral, payKeyX, payKeyY, queueIndex);
    }

    /// @inheritdoc ILedger
    function recordEnd(uint256 leaseId) external onlyMarket {
        Lease storage lease = _leases[leaseId];
        uint64 overdueAt = uint64(block.timestamp) + WINDOW;
        if (overdueAt < lease.overdueAt) lease.overdueAt = overdueAt;
    }

    /// @inheritdoc ILedger
    function settle(
        address provider,
        uint256 oldRoot,
        uint256 newRoot,
        Op[] calldata ops,
        uint256 c,
        uint256[8] calldata proof
    ) external {
        if (ops.length == 0 || ops.length > BATCH) revert BatchSize(ops.length);
        if (c >= P) revert NotAWord(c);
        Shard storage shard = _shards[provider];
        if (_root(shard) != oldRoot) revert StaleRoot(_root(shard));
        uint256 earned = _apply(shard, provider, ops);
        shard.root = newRoot;
        emit Settled(provider, oldRoot, newRoot, earned);
        (uint256 r, uint256 e) = BatchWords.compress(BatchWords.pack(domain(), oldRoot, newRoot, ops), c);
        verifier.verifyProof(abi.encodePacked(proof), [c, r, e]);
    }

    /// @inheritdoc ILedger
    function demandClose(uint256 leaseId) external {
        Lease storage lease = _leases[leaseId];
        if (lease.client == address(0)) revert UnknownLease(leaseId);
        if (lease.closed) revert LeaseClosed(leaseId);
        if (block.timestamp < lease.overdueAt) revert NotAllowedYet(leaseId, lease.overdueAt);
        Shard storage shard = _shards[lease.provider];
        if (shard.demanded != 0) revert AlreadyDemanded(shard.demanded);
        shard.demanded = leaseId;
        emit CloseDemanded(lease.provider, leaseId);
    }

    /// @inheritdoc ILedger
    function collect() external returns (uint256 amount) {
        Shard storage shard = _shards[msg.sender];
        amount = shard.owed;
        if (amount == 0) revert NothingOwed();
        shard.owed = 0;
        address payout = registry.payoutOf(msg.sender);
        if (payout == address(0)) payout = msg.sender;
        emit Collected(msg.sender, payout, amount);
        Address.sendValue(payable(payout), amount);
    }

    /// @inheritdoc ILedger
    function shardOf(address provider)
        external
        view
        returns (uint256 root, uint64 queueHead, uint64 queueTail, uint256 owed, uint256 demanded)
    {
        Shard storage shard = _shards[provider];
        return (_root(shard), shard.queueHead, shard.queueTail, shard.owed, shard.demanded);
    }

    /// @inheritdoc ILedger
    function leaseOf(uint256 leaseId) external view returns (Lease memory) {
        return _leases[leaseId];
    }

    /// @inheritdoc ILedger
    function queued(address provider, uint64 queueIndex) external view returns (bytes32) {
        return _shards[provider].queue[queueIndex];
    }

    /// @inheritdoc ILedger
    function verifyingKeyHash() external pure returns (bytes32) {
        return VerifyingKey.HASH;
    }

    /// @inheritdoc ILedger
    function domain() public view returns (uint256) {
        return uint256(
            keccak256(abi.encode("shale.ledger.v1", block.chainid, address(this), VerifyingKey.HASH))
        ) >> 8;
    }

    /// @dev Checks the operations against storage and books them. The proof, checked by the caller, vouches
    /// for every field of them; what is checked here is what only the chain knows: queue, time and sender.
    function _apply(Shard storage shard, address provider, Op[] calldata ops)
        private
        returns (uint128 earned)
    {
        uint48 head = shard.queueHead;
        uint256 demanded = shard.demanded;
        bool waiting = demanded != 0 && _leases[demanded].queueIndex >= head;
        bool onlyInserts = true;
        for (uint256 i = 0; i < ops.length; ++i) {
            Op calldata op = ops[i];
            _checkShape(op, i);
            Lease storage lease = _leases[op.leaseId];
            if (lease.provider != provider) revert NotProviderLease(op.leaseId);
            if (lease.closed) revert LeaseClosed(op.leaseId);
            if (msg.sender != provider) _checkOthers(lease, op);
            if (op.flags != INSERT) onlyInserts = false;
            if (op.flags & INSERT != 0) _dequeue(shard, head++, op, i);
            earned += op.amount - op.prevAmount;
            emit Operation(provider, op.leaseId, op.index, op.flags, op.amount, op.numSeconds);
            if (op.flags & CLOSE != 0) _close(lease, op);
        }
        if (demanded != 0) {
            if (_leases[demanded].closed) shard.demanded = 0;
            else if (!waiting || !onlyInserts) revert MustClose(demanded);
        }
        shard.queueHead = head;
        shard.owed += earned;
    }

    function _dequeue(Shard storage shard, uint48 head, Op calldata op, uint256 position) private {
        bytes32 entry = keccak256(abi.encode(op.leaseId, op.payKeyX, op.payKeyY, op.deposit));
        if (shard.queue[head] != entry) revert QueueMismatch(position);
        delete shard.queue[head];
    }

    function _close(Lease storage lease, Op calldata op) private {
        uint96 refund = op.deposit - op.amount;
        lease.closed = true;
        lease.paid = op.amount;
        lease.numSeconds = op.numSeconds;
        balanceOf[lease.client] += refund;
        emit Closed(op.leaseId, lease.client, lease.provider, op.amount, refund, op.numSeconds);
    }

    function _credit(address client) private {
        balanceOf[client] += msg.value;
        emit Deposited(client, msg.sender, msg.value);
    }

    function _debit(address client, uint256 amount) private {
        uint256 balance = balanceOf[client];
        if (balance < amount) revert InsufficientBalance(balance, amount);
        balanceOf[client] = balance - amount;
    }

    function _checkMarket() private view {
        if (msg.sender != market) revert NotMarket();
    }

    /// @dev What others than the provider may do, and from when. A deposit ahead in the queue of an overdue
    /// lease has itself waited for the window, so this never bars the way to a close.
    function _checkOthers(Lease storage lease, Op calldata op) private view {
        uint256 from = lease.overdueAt;
        if (op.flags == INSERT) from = uint256(lease.openedAt) + WINDOW;
        else if (op.flags & CLOSE == 0) revert ProviderOnly(op.leaseId);
        if (block.timestamp < from) revert NotAllowedYet(op.leaseId, from);
    }

    function _root(Shard storage shard) private view returns (uint256) {
        uint256 root = shard.root;
        return root == 0 ? VerifyingKey.EMPTY_ROOT : root;
    }

    /// @dev Refuses what the circuit would refuse too, early and by name.
    function _checkShape(Op calldata op, uint256 position) private pure {
        bool inserts = op.flags & INSERT != 0;
        bool claims = op.flags & CLAIM != 0;
        if (
            op.flags == 0 || op.flags > (INSERT | CLAIM | CLOSE) || op.index >= MAX_INDEX
                || op.amount > op.deposit || op.amount < op.prevAmount
                || (!claims && op.amount != op.prevAmount) || (inserts && op.prevAmount != 0)
                || (!inserts && (op.payKeyX != 0 || op.payKeyY != 0))
        ) revert BadOperation(position);
    }
}
