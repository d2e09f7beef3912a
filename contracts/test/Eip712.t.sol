// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Market} from "../src/Market.sol";
import {Acceptance, Confirmation, End, Messages, Order, Review} from "../src/libraries/Messages.sol";
import {Fixture} from "./support/Fixture.sol";
import {vm} from "./support/Forge.sol";

/// @notice Holds the contracts to tests/vectors/eip712.json, which another implementation of EIP-712 wrote.
contract Eip712Test is Fixture {
    string private _vectors;

    function setUp() public override {
        super.setUp();
        _vectors = vm.readFile("tests/vectors/eip712.json");
        // The vectors' chain and address: the market's code, put there, must make the same digests.
        vm.chainId(vm.parseJsonUint(_vectors, ".domain.chainId"));
        address there = vm.parseJsonAddress(_vectors, ".domain.verifyingContract");
        vm.etch(there, address(market).code);
        market = Market(there);
    }

    function word(string memory message, string memory field) private view returns (bytes32) {
        return vm.parseJsonBytes32(_vectors, string.concat(".messages.", message, ".message.", field));
    }

    function number(string memory message, string memory field) private view returns (uint256) {
        return vm.parseJsonUint(_vectors, string.concat(".messages.", message, ".message.", field));
    }

    function who(string memory message, string memory field) private view returns (address) {
        return vm.parseJsonAddress(_vectors, string.concat(".messages.", message, ".message.", field));
    }

    function assertVector(string memory message, bytes32 structHash) private view {
        string memory path = string.concat(".messages.", message);
        vm.assertEq(structHash, vm.parseJsonBytes32(_vectors, string.concat(path, ".structHash")), message);
        vm.assertEq(typed(structHash), vm.parseJsonBytes32(_vectors, string.concat(path, ".digest")), message);
        vm.assertEq(
            signed(uint256(vm.parseJsonBytes32(_vectors, ".signer.secret")), structHash),
            vm.parseJsonBytes(_vectors, string.concat(path, ".signature"))
        );
    }

    function typeHash(string memory message) private view returns (bytes32) {
        return keccak256(bytes(vm.parseJsonString(_vectors, string.concat(".types.", message))));
    }

    function orderVector() private view returns (Order memory order) {
        order.client = who("Order", "client");
        order.provider = who("Order", "provider");
        order.offer = word("Order", "offer");
        order.cpuMillis = uint32(number("Order", "cpuMillis"));
        order.memoryBytes = uint64(number("Order", "memoryBytes"));
        order.diskBytes = uint64(number("Order", "diskBytes"));
        order.gpus = uint32(number("Order", "gpus"));
        order.image = word("Order", "image");
        order.dataset = word("Order", "dataset");
        order.price = uint96(number("Order", "price"));
        order.maxSeconds = uint64(number("Order", "maxSeconds"));
        order.tickSeconds = uint32(number("Order", "tickSeconds"));
        order.sshKey = word("Order", "sshKey");
        order.gatewayKey = word("Order", "gatewayKey");
        order.payKeyX = number("Order", "payKeyX");
        order.payKeyY = number("Order", "payKeyY");
        order.nonce = uint64(number("Order", "nonce"));
        order.deadline = uint64(number("Order", "deadline"));
    }

    function test_type_hashes_are_the_protocols() public view {
        vm.assertEq(Messages.ORDER_TYPEHASH, typeHash("Order"));
        vm.assertEq(Messages.ACCEPTANCE_TYPEHASH, typeHash("Acceptance"));
        vm.assertEq(Messages.CONFIRMATION_TYPEHASH, typeHash("Confirmation"));
        vm.assertEq(Messages.END_TYPEHASH, typeHash("End"));
        vm.assertEq(Messages.REVIEW_TYPEHASH, typeHash("Review"));
    }

    function test_order() public view {
        Order memory order = orderVector();
        assertVector("Order", hasher.hash(order));
        vm.assertEq(market.hashOrder(order), vm.parseJsonBytes32(_vectors, ".messages.Order.digest"));
        vm.assertEq(uint256(market.hashOrder(order)) >> 8, vm.parseJsonUint(_vectors, ".leaseId"));
    }

    function test_acceptance() public view {
        Acceptance memory acceptance = Acceptance(
            word("Acceptance", "order"),
            word("Acceptance", "hostKey"),
            uint64(number("Acceptance", "deadline"))
        );
        assertVector("Acceptance", hasher.hash(acceptance));
    }

    function test_confirmation() public view {
        Confirmation memory confirmation = Confirmation(
            word("Confirmation", "order"),
            word("Confirmation", "acceptance"),
            uint96(number("Confirmation", "collateral")),
            uint64(number("Confirmation", "deadline"))
        );
        assertVector("Confirmation", hasher.hash(confirmation));
    }

    function test_end() public view {
        End memory end = End(
            word("End", "order"),
            uint96(number("End", "amount")),
            uint64(number("End", "numSeconds")),
            uint8(number("End", "reason")),
            uint64(number("End", "at"))
        );
        assertVector("End", hasher.hash(end));
    }

    function test_review_and_its_comment_of_any_script() public view {
        Review memory review = Review(
            word("Review", "order"),
            uint8(number("Review", "stars")),
            vm.parseJsonString(_vectors, ".messages.Review.message.comment"),
            uint64(number("Review", "deadline"))
        );
        assertVector("Review", hasher.hash(review));
    }

    /// @dev Never seen by a contract; here so that every implementation can check itself on one file.
    function test_offer_and_reading() public view {
        assertVector(
            "Offer",
            keccak256(
                abi.encode(
                    typeHash("Offer"),
                    who("Offer", "provider"),
                    word("Offer", "contents"),
                    number("Offer", "issuedAt"),
                    number("Offer", "expiresAt")
                )
            )
        );
        assertVector(
            "Reading",
            keccak256(
                abi.encode(
                    typeHash("Reading"),
                    word("Reading", "order"),
                    number("Reading", "tick"),
                    number("Reading", "numSeconds"),
                    number("Reading", "due"),
                    number("Reading", "at")
                )
            )
        );
    }
}
