// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Ledger} from "../../src/Ledger.sol";
import {Market} from "../../src/Market.sol";
import {Registry} from "../../src/Registry.sol";
import {ILedger} from "../../src/interfaces/ILedger.sol";
import {IMarket} from "../../src/interfaces/IMarket.sol";
import {IVerifier} from "../../src/interfaces/IVerifier.sol";
import {Acceptance, Confirmation, End, Messages, Order, Review} from "../../src/libraries/Messages.sol";
import {CLAIM, CLOSE, INSERT, Op} from "../../src/libraries/PackedOps.sol";
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

    function hash(Review calldata review) external pure returns (bytes32) {
        return Messages.hash(review);
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

    address internal client = vm.addr(CLIENT_SECRET);
    address internal provider = vm.addr(PROVIDER_SECRET);
    address internal stranger = address(0x57A6E2);
    Hasher internal hasher = new Hasher();
    Registry internal registry;
    Market internal market;
    Ledger internal ledger;

    function setUp() public virtual {
        vm.warp(START);
        registry = Registry(vm.deployCode("Registry.sol:Registry"));
        deploy(new YesVerifier());
        vm.deal(client, 100 ether);
        vm.prank(client);
        ledger.deposit{value: 1 ether}();
    }

    function deploy(IVerifier verifier) internal {
        deploy([verifier, verifier, verifier, verifier]);
    }

    function deploy(IVerifier[4] memory verifiers) internal {
        // By name, so that tests of the tests can put another code there: scripts/mutate.mjs.
        market = Market(vm.deployCode("Market.sol:Market", abi.encode(registry, verifiers)));
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

    function reviewOf(Order memory order, uint8 stars, string memory comment)
        internal
        view
        returns (Review memory)
    {
        return Review(market.hashOrder(order), stars, comment, START + 30 days);
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

    function openingOf(Order memory order) internal view returns (IMarket.Opening memory opening) {
        opening.order = order;
        opening.acceptance = acceptanceOf(order);
        opening.confirmation = confirmationOf(order, opening.acceptance);
        opening.orderSignature = signed(CLIENT_SECRET, hasher.hash(order));
        opening.acceptanceSignature = signed(PROVIDER_SECRET, hasher.hash(opening.acceptance));
        opening.confirmationSignature = signed(CLIENT_SECRET, hasher.hash(opening.confirmation));
    }

    function openingsOf(uint64 nonce, uint64 count)
        internal
        view
        returns (IMarket.Opening[] memory openings)
    {
        openings = new IMarket.Opening[](count);
        for (uint64 i = 0; i < count; ++i) {
            openings[i] = openingOf(orderOf(nonce + i));
        }
    }

    /// @dev A lease of the fixture's parties with any id, as the market would hand it over.
    function openedOf(uint256 leaseId, uint96 deposit)
        internal
        view
        returns (ILedger.Opened[] memory opened)
    {
        opened = new ILedger.Opened[](1);
        opened[0] = ILedger.Opened(leaseId, client, provider, deposit, MAX_SECONDS, KEY_X, KEY_Y);
    }

    /// @dev An operation on the fixture's lease in slot 0.
    function opOf(uint256 leaseId, uint256 flags, uint96 amount) internal pure returns (Op memory op) {
        op.leaseId = leaseId;
        op.flags = flags;
        op.amount = amount;
        op.numSeconds = amount / PRICE;
        if (flags & INSERT != 0) (op.payKeyX, op.payKeyY) = (KEY_X, KEY_Y);
    }

    function one(Op memory op) internal pure returns (Op[] memory ops) {
        ops = new Op[](1);
        ops[0] = op;
    }

    /// @dev In slots 0 and 1.
    function two(Op memory a, Op memory b) internal pure returns (Op[] memory ops) {
        ops = new Op[](2);
        (ops[0], ops[1]) = (a, b);
        b.slot = a.slot + 1;
    }

    /// @dev Operations as calldata, by the protocol's words and not the decoder's.
    function packed(Op[] memory ops) internal pure returns (bytes memory text) {
        for (uint256 i = 0; i < ops.length; ++i) {
            Op memory op = ops[i];
            text = abi.encodePacked(text, uint8(op.slot), uint8(op.flags), uint8(op.reason));
            text = abi.encodePacked(text, uint248(op.leaseId), uint96(op.amount), uint64(op.numSeconds));
            if (op.flags & INSERT != 0) text = abi.encodePacked(text, op.payKeyX, op.payKeyY);
        }
    }

    function rootOf(address of_) internal view returns (uint256 root) {
        (root,,) = ledger.shardOf(of_);
    }

    function owedTo(address of_) internal view returns (uint256 owed) {
        (, owed,) = ledger.shardOf(of_);
    }

    function demandedOf(address of_) internal view returns (uint256 demanded) {
        (,, demanded) = ledger.shardOf(of_);
    }

    function nextRoot(uint256 root) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(root))) >> 8;
    }

    /// @dev Settles batches of eight in the first window, with a made-up new root and an empty proof.
    function settleAs(address sender, uint256 earned, Op[] memory ops) internal {
        settleFrom(sender, rootOf(provider), earned, packed(ops));
    }

    function settleFrom(address sender, uint256 root, uint256 earned, bytes memory ops) internal {
        uint256[8] memory proof;
        vm.prank(sender);
        ledger.settle(provider, 0, 8, root, nextRoot(root), earned, ops, 1, proof);
    }

    function settleRefused(address sender, Op[] memory ops, bytes memory refusal) internal {
        settleRefused(sender, rootOf(provider), 0, packed(ops), refusal);
    }

    function settleRefused(
        address sender,
        uint256 root,
        uint256 earned,
        bytes memory ops,
        bytes memory refusal
    ) internal {
        uint256[8] memory proof;
        vm.prank(sender);
        vm.expectRevert(refusal);
        ledger.settle(provider, 0, 8, root, nextRoot(root), earned, ops, 1, proof);
    }
}
