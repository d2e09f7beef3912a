// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

import {VerifyingKey} from "./generated/VerifyingKey.sol";
import {ILedger} from "./interfaces/ILedger.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {BatchWords} from "./libraries/BatchWords.sol";
import {CLOSE, INSERT, Op, PackedOps} from "./libraries/PackedOps.sol";
import {MAX_TERM, Record, Records} from "./libraries/Records.sol";

/// @title Shale's layer 2: holds all money, and moves each provider's root of redeemed amounts only with a proof.
/// @dev Owes at any time the sum of client balances, of what open leases still hold, and of uncollected earnings.
contract Ledger is ILedger {
    using Records for Record;

    /// @notice How long after a lease's end only its provider may close it.
    uint64 public constant WINDOW = 24 hours;
    uint256 private constant LEAVES = 1 << 20;
    /// @dev The circuit sums at most 256 differences below 2^96.
    uint256 private constant EARNED_LIMIT = 1 << 104;
    uint256 private constant FILECOIN_MAINNET = 314;

    /// @param root 0 stands for the empty tree's root.
    /// @param owed Earned and not yet collected.
    /// @param held Deposits of open leases less what was redeemed of them: a bound on what a batch can pay out,
    /// so that even a forged proof could not touch the money of another provider's leases.
    /// @param demanded The lease that the next batch must close, or 0.
    struct Shard {
        uint256 root;
        uint128 owed;
        uint128 held;
        uint256 demanded;
    }

    /// @dev A batch under way. `demanded`: it starts from the root at which its closes were demanded.
    struct Batch {
        address provider;
        bool byProvider;
        bool demanded;
        uint32 window;
        uint16 size;
        uint256 oldRoot;
        uint256 newRoot;
        uint256 earned;
        uint256 refunds;
    }

    /// @inheritdoc ILedger
    address public immutable market;
    /// @inheritdoc ILedger
    IRegistry public immutable registry;
    IVerifier private immutable _verifier1;
    IVerifier private immutable _verifier8;
    IVerifier private immutable _verifier64;
    IVerifier private immutable _verifier256;

    /// @inheritdoc ILedger
    mapping(address client => uint256 balance) public balanceOf;
    /// @inheritdoc ILedger
    mapping(uint256 leaseId => uint256 root) public demandedRootOf;
    mapping(address provider => Shard shard) private _shards;
    mapping(uint256 leaseId => Record record) private _records;

    modifier onlyMarket() {
        if (msg.sender != market) revert NotMarket();
        _;
    }

    /// @dev Created by its market.
    /// @param verifiers For batches of 1, 8, 64 and 256 slots.
    constructor(IRegistry registry_, IVerifier[4] memory verifiers) {
        if (address(registry_).code.length == 0) revert ZeroAddress();
        for (uint256 i = 0; i < verifiers.length; ++i) {
            if (address(verifiers[i]).code.length == 0) revert ZeroAddress();
        }
        if (VerifyingKey.UNSAFE_DEVELOPMENT && block.chainid == FILECOIN_MAINNET) {
            revert UnsafeVerifyingKey();
        }
        market = msg.sender;
        registry = registry_;
        _verifier1 = verifiers[0];
        _verifier8 = verifiers[1];
        _verifier64 = verifiers[2];
        _verifier256 = verifiers[3];
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
    function lockMany(Opened[] calldata opened) external onlyMarket {
        for (uint256 i = 0; i < opened.length; ++i) {
            _lock(opened[i]);
        }
    }

    /// @inheritdoc ILedger
    function raise(uint256 leaseId, uint96 amount, uint64 extraSeconds) external payable onlyMarket {
        Record storage record = _records[leaseId];
        _checkOpen(leaseId, record);
        if (block.timestamp >= record.overdueAt) revert LeaseOverdue(leaseId, record.overdueAt);
        uint256 raised = uint256(record.deposit) + amount;
        if (raised > type(uint96).max) revert DepositTooLarge(raised);
        // The market extends no lease that was ended, so that this is its term (and never less than 0).
        uint256 term = uint256(record.overdueAt) - record.openedAt - WINDOW + extraSeconds;
        if (term > MAX_TERM) revert TermTooLong(term);
        if (msg.value == 0) _debit(record.client, amount);
        else if (msg.value != amount) revert WrongValue(amount, msg.value);
        // Both fit by the bounds above: an overdue time lies at most a term and a window ahead of some block's time.
        record.deposit = uint96(raised);
        record.overdueAt += uint48(extraSeconds);
        _shards[record.provider].held += amount;
        emit DepositRaised(leaseId, uint96(raised), record.overdueAt);
    }

    /// @inheritdoc ILedger
    function recordEnd(uint256 leaseId) external onlyMarket returns (address client, address provider) {
        Record storage record = _records[leaseId];
        (client, provider) = (record.client, record.provider);
        uint48 overdueAt = uint48(block.timestamp) + uint48(WINDOW);
        if (overdueAt < record.overdueAt) record.overdueAt = overdueAt;
    }

    /// @inheritdoc ILedger
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
    ) external {
        IVerifier verifier = verifierOf(size);
        Batch memory batch;
        batch.provider = provider;
        batch.byProvider = msg.sender == provider;
        batch.demanded = oldRoot != _root(_shards[provider]);
        batch.window = window;
        batch.size = size;
        batch.oldRoot = oldRoot;
        batch.newRoot = newRoot;
        batch.earned = earned;
        (uint256 r, uint256 e) = _apply(batch, ops, c);
        _book(batch);
        verifier.verifyProof(abi.encodePacked(proof), [c, r, e]);
    }

    /// @inheritdoc ILedger
    function refund(uint256[] calldata leaseIds) external {
        for (uint256 i = 0; i < leaseIds.length; ++i) {
            uint256 leaseId = leaseIds[i];
            Record storage record = _records[leaseId];
            State state = _checkOpen(leaseId, record);
            if (state != State.Locked) revert WrongLeaseState(leaseId, state);
            address provider = record.provider;
            if (msg.sender != provider && block.timestamp < record.overdueAt) {
                revert NotAllowedYet(leaseId, record.overdueAt);
            }
            _shards[provider].held -= _close(leaseId, record, 0, 0, 0);
        }
    }

    /// @inheritdoc ILedger
    function demandClose(uint256 leaseId) external {
        Record storage record = _records[leaseId];
        State state = _checkOpen(leaseId, record);
        if (state != State.Inserted) revert WrongLeaseState(leaseId, state);
        if (block.timestamp < record.overdueAt) revert NotAllowedYet(leaseId, record.overdueAt);
        if (demandedRootOf[leaseId] != 0) revert AlreadyDemanded(leaseId);
        Shard storage shard = _shards[record.provider];
        demandedRootOf[leaseId] = _root(shard);
        if (shard.demanded == 0) shard.demanded = leaseId;
        emit CloseDemanded(record.provider, leaseId);
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
    function shardOf(address provider) external view returns (uint256 root, uint256 owed, uint256 demanded) {
        Shard storage shard = _shards[provider];
        return (_root(shard), shard.owed, shard.demanded);
    }

    /// @inheritdoc ILedger
    function heldOf(address provider) external view returns (uint256) {
        return _shards[provider].held;
    }

    /// @inheritdoc ILedger
    function leaseOf(uint256 leaseId) external view returns (Lease memory) {
        return _records[leaseId].view_();
    }

    /// @inheritdoc ILedger
    function verifyingKeysHash() external pure returns (bytes32) {
        return VerifyingKey.KEYS_HASH;
    }

    /// @inheritdoc ILedger
    function domain() public view returns (uint256) {
        return uint256(
            keccak256(abi.encode("shale.ledger.v2", block.chainid, address(this), VerifyingKey.KEYS_HASH))
        ) >> 8;
    }

    /// @inheritdoc ILedger
    function verifierOf(uint16 size) public view returns (IVerifier) {
        if (size == 1) return _verifier1;
        if (size == 8) return _verifier8;
        if (size == 64) return _verifier64;
        if (size == 256) return _verifier256;
        revert BatchSize(size);
    }

    /// @dev Checks the operations against storage, books their closes and lays them out as words. The proof, checked
    /// by the caller, vouches for every field but the reason; what is checked here is what only the chain knows:
    /// whose lease it is, its key, deposit and state, the time, and who asks.
    function _apply(Batch memory batch, bytes calldata ops, uint256 c)
        private
        returns (uint256 r, uint256 e)
    {
        uint256 size = batch.size;
        if (batch.window >= LEAVES / size) revert BadWindow(batch.window);
        if (batch.earned >= EARNED_LIMIT) revert NotAWord(batch.earned);
        uint256[] memory words =
            BatchWords.begin(size, domain(), batch.oldRoot, batch.newRoot, batch.window, batch.earned, c);
        Op memory op;
        uint256 offset;
        uint256 least;
        do {
            offset = PackedOps.read(op, ops, offset, least, size);
            least = op.slot + 1;
            BatchWords.put(words, op);
            _operate(batch, op);
        } while (offset < ops.length);
        return BatchWords.compress(words);
    }

    function _operate(Batch memory batch, Op memory op) private {
        if (batch.demanded) _checkDemanded(batch, op.leaseId);
        Record storage record = _records[op.leaseId];
        if (record.provider != batch.provider) revert NotProviderLease(op.leaseId);
        State state = _checkOpen(op.leaseId, record);
        bool inserts = op.flags & INSERT != 0;
        if (inserts != (state == State.Locked)) revert WrongLeaseState(op.leaseId, state);
        if (inserts && !record.isKey(op.payKeyX, op.payKeyY)) revert WrongPayKey(op.leaseId);
        if (op.amount > record.deposit) revert AboveDeposit(op.leaseId, op.amount);
        bool closes = op.flags & CLOSE != 0;
        if (!batch.byProvider && !closes) revert ProviderOnly(op.leaseId);
        // What is overdue stays so, and its leaf stays as it is until it is closed.
        if (block.timestamp >= record.overdueAt) {
            if (!closes) revert OverdueMustClose(op.leaseId);
        } else if (!batch.byProvider) {
            revert NotAllowedYet(op.leaseId, record.overdueAt);
        }
        uint32 index = uint32(uint256(batch.window) * batch.size + op.slot);
        if (batch.demanded) {
            emit Exited(batch.provider, op.leaseId, batch.oldRoot, index);
        } else {
            emit Operation(
                batch.provider, op.leaseId, index, uint8(op.flags), uint96(op.amount), uint64(op.numSeconds)
            );
        }
        if (closes) {
            batch.refunds += _close(
                op.leaseId, record, uint96(op.amount), uint64(op.numSeconds), uint8(op.reason)
            );
        } else if (inserts) {
            record.insert();
        }
    }

    /// @dev Closes the record, credits its client with what was not paid, and says how much that was.
    function _close(uint256 leaseId, Record storage record, uint96 paid, uint64 numSeconds, uint8 reason)
        private
        returns (uint96 rest)
    {
        rest = record.deposit - paid;
        address client = record.client;
        record.close(paid, numSeconds, reason);
        balanceOf[client] += rest;
        emit Closed(leaseId, client, record.provider, paid, rest, numSeconds, reason);
    }

    /// @dev Moves the root, and what the batch earned and gave back out of the shard's deposits; meets a demand.
    function _book(Batch memory batch) private {
        Shard storage shard = _shards[batch.provider];
        if (!batch.demanded) {
            shard.root = batch.newRoot;
            emit Settled(batch.provider, batch.oldRoot, batch.newRoot, batch.window, batch.size, batch.earned);
        }
        uint256 held = shard.held;
        uint256 leaving = batch.earned + batch.refunds;
        if (leaving > held) revert ShardOverdrawn(batch.provider, held, leaving);
        shard.held = uint128(held - leaving);
        shard.owed += uint128(batch.earned);
        uint256 demanded = shard.demanded;
        if (demanded == 0) return;
        // Others can do nothing but close what is overdue: nobody's exit waits for another's.
        if (_records[demanded].state() == State.Closed) shard.demanded = 0;
        else if (batch.byProvider) revert MustClose(demanded);
    }

    function _lock(Opened calldata opened) private {
        Record storage record = _records[opened.leaseId];
        if (record.state() != State.None) revert LeaseExists(opened.leaseId);
        _debit(opened.client, opened.deposit);
        record.open(opened, uint48(block.timestamp + opened.maxSeconds + WINDOW));
        _shards[opened.provider].held += opened.deposit;
        emit Locked(
            opened.leaseId, opened.client, opened.provider, opened.deposit, opened.payKeyX, opened.payKeyY
        );
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

    function _checkOpen(uint256 leaseId, Record storage record) private view returns (State state) {
        state = record.state();
        if (state == State.None) revert UnknownLease(leaseId);
        if (state == State.Closed) revert LeaseClosed(leaseId);
    }

    function _checkDemanded(Batch memory batch, uint256 leaseId) private view {
        uint256 root = demandedRootOf[leaseId];
        if (root == 0 || root != batch.oldRoot) revert StaleRoot(_root(_shards[batch.provider]));
    }

    function _root(Shard storage shard) private view returns (uint256) {
        uint256 root = shard.root;
        return root == 0 ? VerifyingKey.EMPTY_ROOT : root;
    }
}
