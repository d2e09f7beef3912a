// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Ledger} from "../../src/Ledger.sol";
import {Market} from "../../src/Market.sol";
import {Registry} from "../../src/Registry.sol";
import {ILedger} from "../../src/interfaces/ILedger.sol";
import {IVerifier} from "../../src/interfaces/IVerifier.sol";
import {Acceptance, Confirmation, End, Messages, Order} from "../../src/libraries/Messages.sol";
import {vm} from "./Forge.sol";

/// @notice Takes every proof: for tests of what the contracts check themselves.
contract YesVerifier is IVerifier {
    function verifyProof(bytes calldata, uint256[3] calldata) external pure {}
}

/// @notice Takes no proof.
contract NoVerifier is IVerifier {
    error ProofInvalid();

    function verifyProof(bytes calldata, uint256[3] calldata) external pure {
        revert ProofInvalid();
    }
}

/// @notice Makes Messages' functions, which take calldata, callable with memory.
contract Hasher {
    function hash(Order calldata order) external pure returns (bytes32) {
        return Messages.hash(order);
    }

    function hash(Acceptance calldata acceptance) external pure returns (bytes32) {
        return Messages.hash(acceptance);
    }

    function hash(Confirmation calldata confirmation) external pure returns (bytes32) {
        return Messages.hash(confirmation);
    }

    function hash(End calldata end) external pure returns (bytes32) {
        return Messages.hash(end);
    }
}

/// @notice The deployed contracts, a client and a provider with keys, and the messages between them.
abstract contract Fixture {
    uint256 internal constant CLIENT_SECRET = 0xC11E17;
    uint256 internal constant PROVIDER_SECRET = 0x9802;
    uint64 internal constant START = 1_800_000_000;
    uint96 internal constant PRICE = 3e9;
    uint64 internal constant MAX_SECONDS = 3600;
    uint96 internal constant COLLATERAL = PRICE * uint96(MAX_SECONDS);
    uint64 internal constant WINDOW = 24 hours;
    /// @dev The base point of the payment keys' curve.
    uint256 internal constant KEY_X =
        9671717474070082183213120605117400219616337014328744928644933853176787189663;
    uint256 internal constant KEY_Y =
        16950150798460657717958625567821834550301663161624707787222815936182638968203;

    uint8 internal constant INSERT = 1;
    uint8 internal constant CLAIM = 2;
    uint8 internal constant CLOSE = 4;

    address internal client = vm.addr(CLIENT_SECRET);
    address internal provider = vm.addr(PROVIDER_SECRET);
    address internal stranger = address(0x57A6E2);
    Hasher internal hasher = new Hasher();
    Registry internal registry;
    Market internal market;
    Ledger internal ledger;

    function setUp() public virtual {
        vm.warp(START);
        registry = new Registry();
        deploy(new YesVerifier());
        vm.deal(client, 100 ether);
        vm.prank(client);
        ledger.deposit{value: 1 ether}();
    }

    function deploy(IVerifier verifier) internal {
        market = new Market(registry, verifier);
        ledger = Ledger(address(market.ledger()));
    }

    function orderOf(uint64 nonce) internal view returns (Order memory order) {
        order.client = client;
        order.provider = provider;
        order.offer = keccak256("offer");
        order.cpuMillis = 1000;
        order.memoryBytes = 2 << 30;
        order.diskBytes = 10 << 30;
        order.image = keccak256("debian");
        order.price = PRICE;
        order.maxSeconds = MAX_SECONDS;
        order.tickSeconds = 10;
        order.sshKey = keccak256("ssh-ed25519 AAAA");
        order.gatewayKey = keccak256("ssh-ed25519 BBBB");
        order.payKeyX = KEY_X;
        order.payKeyY = KEY_Y;
        order.nonce = nonce;
        order.deadline = START + 1 hours;
    }

    function acceptanceOf(Order memory order) internal view returns (Acceptance memory) {
        return Acceptance(market.hashOrder(order), keccak256("host key"), START + 1 hours);
    }

    function confirmationOf(Order memory order, Acceptance memory acceptance)
        internal
        view
        returns (Confirmation memory)
    {
        uint96 collateral = order.price * uint96(order.maxSeconds);
        return Confirmation(acceptance.order, hasher.hash(acceptance), collateral, START + 1 hours);
    }

    function endOf(uint256 leaseId, Order memory order, uint8 reason) internal view returns (End memory) {
        bytes32 orderHash = market.hashOrder(order);
        vm.assertEq(uint256(orderHash) >> 8, leaseId);
        return End(orderHash, 5 * PRICE, 5, reason, START);
    }

    function typed(bytes32 structHash) internal view returns (bytes32) {
        bytes32 separator = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("Shale"),
                keccak256("1"),
                block.chainid,
                address(market)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }

    function signed(uint256 secret, bytes32 structHash) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, typed(structHash));
        return abi.encodePacked(r, s, v);
    }

    /// @dev Opens a lease with three good signatures, sent by a stranger.
    function open(Order memory order) internal returns (uint256 leaseId) {
        Acceptance memory acceptance = acceptanceOf(order);
        Confirmation memory confirmation = confirmationOf(order, acceptance);
        bytes memory orderSignature = signed(CLIENT_SECRET, hasher.hash(order));
        bytes memory acceptanceSignature = signed(PROVIDER_SECRET, hasher.hash(acceptance));
        bytes memory confirmationSignature = signed(CLIENT_SECRET, hasher.hash(confirmation));
        vm.prank(stranger);
        leaseId = market.openLease(
            order, orderSignature, acceptance, acceptanceSignature, confirmation, confirmationSignature
        );
    }

    function opOf(uint256 leaseId, uint8 flags, uint96 prevAmount, uint96 amount)
        internal
        view
        returns (ILedger.Op memory op)
    {
        op.leaseId = leaseId;
        op.flags = flags;
        op.deposit = ledger.leaseOf(leaseId).deposit;
        op.amount = amount;
        op.prevAmount = prevAmount;
        // forge-lint: disable-next-line(unsafe-typecast) (a deposit buys at most MAX_SECONDS)
        op.numSeconds = uint64(amount / PRICE);
        if (flags & INSERT != 0) (op.payKeyX, op.payKeyY) = (KEY_X, KEY_Y);
    }

    function one(ILedger.Op memory op) internal pure returns (ILedger.Op[] memory ops) {
        ops = new ILedger.Op[](1);
        ops[0] = op;
    }

    function two(ILedger.Op memory a, ILedger.Op memory b) internal pure returns (ILedger.Op[] memory ops) {
        ops = new ILedger.Op[](2);
        (ops[0], ops[1]) = (a, b);
    }

    function rootOf(address of_) internal view returns (uint256 root) {
        (root,,,,) = ledger.shardOf(of_);
    }

    function owedTo(address of_) internal view returns (uint256 owed) {
        (,,, owed,) = ledger.shardOf(of_);
    }

    /// @dev Settles with a made-up new root and an empty proof.
    function settleAs(address sender, ILedger.Op[] memory ops) internal {
        uint256 root = rootOf(provider);
        uint256[8] memory proof;
        vm.prank(sender);
        ledger.settle(provider, root, uint256(keccak256(abi.encode(root))) >> 8, ops, 1, proof);
    }

    function settleRefused(address sender, ILedger.Op[] memory ops, bytes memory refusal) internal {
        uint256 root = rootOf(provider);
        uint256[8] memory proof;
        vm.prank(sender);
        vm.expectRevert(refusal);
        ledger.settle(provider, root, 1, ops, 1, proof);
    }
}

