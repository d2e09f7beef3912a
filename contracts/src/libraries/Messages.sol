// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

// The messages that client and provider sign, and their EIP-712 struct hashes (docs/protocol.md, section 2).

struct Order {
    address client;
    address provider;
    bytes32 offer;
    uint32 cpuMillis;
    uint64 memoryBytes;
    uint64 diskBytes;
    uint32 gpus;
    bytes32 image;
    bytes32 dataset;
    uint96 price;
    uint64 maxSeconds;
    uint32 tickSeconds;
    bytes32 sshKey;
    bytes32 gatewayKey;
    uint256 payKeyX;
    uint256 payKeyY;
    uint64 nonce;
    uint64 deadline;
}

struct Acceptance {
    bytes32 order;
    bytes32 hostKey;
    uint64 deadline;
}

struct Confirmation {
    bytes32 order;
    bytes32 acceptance;
    uint96 collateral;
    uint64 deadline;
}

struct End {
    bytes32 order;
    uint96 amount;
    uint64 numSeconds;
    uint8 reason;
    uint64 at;
}

struct Review {
    bytes32 order;
    uint8 stars;
    string comment;
    uint64 deadline;
}

/// @dev Every field but a comment is a value of one word, so `abi.encode` of a struct is EIP-712's `encodeData`.
library Messages {
    bytes32 internal constant ORDER_TYPEHASH = keccak256(
        "Order(address client,address provider,bytes32 offer,uint32 cpuMillis,uint64 memoryBytes,uint64 diskBytes,"
        "uint32 gpus,bytes32 image,bytes32 dataset,uint96 price,uint64 maxSeconds,uint32 tickSeconds,"
        "bytes32 sshKey,bytes32 gatewayKey,uint256 payKeyX,uint256 payKeyY,uint64 nonce,uint64 deadline)"
    );
    bytes32 internal constant ACCEPTANCE_TYPEHASH =
        keccak256("Acceptance(bytes32 order,bytes32 hostKey,uint64 deadline)");
    bytes32 internal constant CONFIRMATION_TYPEHASH =
        keccak256("Confirmation(bytes32 order,bytes32 acceptance,uint96 collateral,uint64 deadline)");
    bytes32 internal constant END_TYPEHASH =
        keccak256("End(bytes32 order,uint96 amount,uint64 numSeconds,uint8 reason,uint64 at)");
    bytes32 internal constant REVIEW_TYPEHASH =
        keccak256("Review(bytes32 order,uint8 stars,string comment,uint64 deadline)");

    function hash(Order calldata order) internal pure returns (bytes32) {
        return keccak256(abi.encode(ORDER_TYPEHASH, order));
    }

    function hash(Acceptance calldata acceptance) internal pure returns (bytes32) {
        return keccak256(abi.encode(ACCEPTANCE_TYPEHASH, acceptance));
    }

    function hash(Confirmation calldata confirmation) internal pure returns (bytes32) {
        return keccak256(abi.encode(CONFIRMATION_TYPEHASH, confirmation));
    }

    function hash(End calldata end) internal pure returns (bytes32) {
        return keccak256(abi.encode(END_TYPEHASH, end));
    }

    function hash(Review calldata review) internal pure returns (bytes32) {
        bytes32 comment = keccak256(bytes(review.comment));
        return keccak256(abi.encode(REVIEW_TYPEHASH, review.order, review.stars, comment, review.deadline));
    }
}
