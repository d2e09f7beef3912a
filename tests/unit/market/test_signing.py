"""EIP-712 agrees with the contracts, byte for byte (golden vectors), and refuses what they refuse."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shale.errors import InputRefused
from shale.hashes import keccak
from shale.market import signing
from shale.market.accounts import Account, sign_digest
from shale.market.lease import EndReason
from shale.market.order import Acceptance, Confirmation, End, Order, PayKey, Reading
from shale.market.resources import Resources
from shale.market.review import Review
from shale.market.signing import SigningDomain, text_hash
from shale.units import Address, AttoFil, OrderHash, Price, lease_id_of

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "eip712.json").read_bytes())
DOMAIN = SigningDomain(VECTORS["domain"]["chainId"], Address(VECTORS["domain"]["verifyingContract"]))
SIGNER = Account.of_key(bytes.fromhex(VECTORS["signer"]["secret"][2:]))
ORDER_HASH = OrderHash(VECTORS["messages"]["Order"]["digest"])


def vector(name: str) -> dict[str, Any]:
    return dict(VECTORS["messages"][name]["message"])


def numbers(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its texts as the numbers, bytes and addresses that they are."""
    return {key: _value(key, value) for key, value in message.items()}


def _value(key: str, value: Any) -> Any:
    if not isinstance(value, str) or key == "comment":
        return value
    if key.startswith("payKey") or not value.startswith("0x"):
        return int(value, 16 if value.startswith("0x") else 10)
    return bytes.fromhex(value[2:]) if len(value) == 66 else value


@pytest.fixture
def end() -> End:
    raw = vector("End")
    return End(ORDER_HASH, AttoFil(int(raw["amount"])), raw["numSeconds"], EndReason(raw["reason"]), raw["at"])


@pytest.mark.parametrize("name", list(VECTORS["types"]))
def test_every_struct_has_the_contracts_digest(name: str) -> None:
    message = DOMAIN._message(name, numbers(vector(name)))
    expected = VECTORS["messages"][name]
    assert "0x" + message.body.hex() == expected["structHash"]
    assert "0x" + message.digest.hex() == expected["digest"]
    assert "0x" + sign_digest(SIGNER, message.digest).hex() == expected["signature"]


@pytest.mark.parametrize("name", list(VECTORS["types"]))
def test_the_types_are_the_protocols(name: str) -> None:
    assert f"{name}({signing._FIELDS[name]})" == VECTORS["types"][name]


def test_an_order_is_bound_field_by_field_and_its_texts_by_hash() -> None:
    raw = vector("Order")
    order = Order(
        client=raw["client"],
        provider=raw["provider"],
        offer=raw["offer"],
        resources=Resources(raw["cpuMillis"], raw["memoryBytes"], raw["diskBytes"], raw["gpus"]),
        image="an image",
        dataset="",
        price=Price(AttoFil(int(raw["price"]))),
        max_seconds=raw["maxSeconds"],
        tick_seconds=raw["tickSeconds"],
        ssh_key="ssh-ed25519 AAAA",
        gateway_key="ssh-ed25519 BBBB",
        pay_key=PayKey(raw["payKeyX"], raw["payKeyY"]),
        nonce=raw["nonce"],
        deadline=raw["deadline"],
    )
    texts = {
        "image": keccak(b"an image"),
        "dataset": bytes(32),
        "sshKey": keccak(b"ssh-ed25519 AAAA"),
        "gatewayKey": keccak(b"ssh-ed25519 BBBB"),
    }
    assert DOMAIN.message(order) == DOMAIN._message("Order", numbers(raw) | texts)


def test_acceptance_and_confirmation_are_bound_field_by_field() -> None:
    accepted, confirmed = vector("Acceptance"), vector("Confirmation")
    acceptance = Acceptance(ORDER_HASH, "ssh-ed25519 CCCC", accepted["deadline"])
    bound = numbers(accepted) | {"hostKey": text_hash("ssh-ed25519 CCCC")}
    assert DOMAIN.message(acceptance) == DOMAIN._message("Acceptance", bound)
    confirmation = Confirmation(
        ORDER_HASH, confirmed["acceptance"], AttoFil(int(confirmed["collateral"])), confirmed["deadline"]
    )
    assert DOMAIN.digest(confirmation) == VECTORS["messages"]["Confirmation"]["digest"]


def test_ends_and_readings_sign_as_the_contracts_expect(end: End) -> None:
    raw = vector("Reading")
    reading = Reading(ORDER_HASH, raw["tick"], raw["numSeconds"], AttoFil(int(raw["due"])), raw["at"])
    for name, item in (("End", end), ("Reading", reading)):
        assert DOMAIN.sign(item, SIGNER) == VECTORS["messages"][name]["signature"]
        DOMAIN.check(item, VECTORS["messages"][name]["signature"], Address(SIGNER.address))


def test_a_review_signs_as_the_contracts_expect() -> None:
    raw = vector("Review")
    review = Review(ORDER_HASH, raw["stars"], raw["comment"], raw["deadline"])
    assert DOMAIN.sign(review, SIGNER) == VECTORS["messages"]["Review"]["signature"]
    for other in (replace(review, stars=5), replace(review, comment="slow"), replace(review, deadline=1)):
        with pytest.raises(InputRefused, match="review is signed by"):
            DOMAIN.check(other, VECTORS["messages"]["Review"]["signature"], Address(SIGNER.address))


def test_a_lease_id_is_the_order_hash_without_its_last_byte() -> None:
    assert int(lease_id_of(ORDER_HASH), 16) == int(VECTORS["leaseId"], 16) == int(ORDER_HASH, 16) >> 8


def test_another_signers_signature_is_refused(end: End) -> None:
    with pytest.raises(InputRefused, match="not by"):
        DOMAIN.check(end, DOMAIN.sign(end, Account.create()), Address(SIGNER.address))


def test_a_signature_for_another_chain_or_market_is_refused(end: End) -> None:
    for elsewhere in (SigningDomain(314, DOMAIN.market), SigningDomain(DOMAIN.chain_id, Address("0x" + "11" * 20))):
        with pytest.raises(InputRefused):
            DOMAIN.check(end, elsewhere.sign(end, SIGNER), Address(SIGNER.address))


def test_a_signature_in_other_bytes_is_refused(end: End) -> None:
    """The high-s twin recovers to the same signer; the contracts refuse it, so must we."""
    good = bytes.fromhex(DOMAIN.sign(end, SIGNER)[2:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    twin = good[:32] + (order - int.from_bytes(good[32:64], "big")).to_bytes(32, "big") + bytes([55 - good[64]])
    for bad in ("0x" + twin.hex(), "0x" + good[:64].hex(), "0x" + "00" * 65, "0x" + "zz" * 65, 7, None):
        with pytest.raises(InputRefused):
            DOMAIN.check(end, bad, Address(SIGNER.address))
