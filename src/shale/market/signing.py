"""EIP-712 hashes and signatures of what the parties sign (docs/protocol.md, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shale.errors import InputRefused
from shale.hashes import keccak
from shale.market.accounts import Signer, recover, sign_digest
from shale.market.offer import SignedOffer, offer_from_contents
from shale.market.order import Acceptance, Confirmation, End, Order, Reading
from shale.market.review import Review
from shale.units import Address, OrderHash

_FIELDS: dict[str, str] = {
    "Offer": "address provider,bytes32 contents,uint64 issuedAt,uint64 expiresAt",
    "Order": (
        "address client,address provider,bytes32 offer,uint32 cpuMillis,uint64 memoryBytes,uint64 diskBytes,"
        "uint32 gpus,bytes32 image,bytes32 dataset,uint96 price,uint64 maxSeconds,uint32 tickSeconds,"
        "bytes32 sshKey,bytes32 gatewayKey,uint256 payKeyX,uint256 payKeyY,uint64 nonce,uint64 deadline"
    ),
    "Acceptance": "bytes32 order,bytes32 hostKey,uint64 deadline",
    "Confirmation": "bytes32 order,bytes32 acceptance,uint96 collateral,uint64 deadline",
    "End": "bytes32 order,uint96 amount,uint64 numSeconds,uint8 reason,uint64 at",
    "Review": "bytes32 order,uint8 stars,string comment,uint64 deadline",
    "Reading": "bytes32 order,uint64 tick,uint64 numSeconds,uint96 due,uint64 at",
}
_TYPES = {
    name: [(kind, key) for kind, _, key in (field.partition(" ") for field in fields.split(","))]
    for name, fields in _FIELDS.items()
}
_DOMAIN = "string name,string version,uint256 chainId,address verifyingContract"

Signable = Order | Acceptance | Confirmation | End | Review | Reading


@dataclass(frozen=True, slots=True)
class Message:
    """A typed message (EIP-712): the domain's hash and the struct's, 32 bytes each."""

    header: bytes
    body: bytes

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        return keccak(b"\x19\x01" + self.header + self.body)


def text_digest(text: bytes) -> bytes:
    """What is signed for a text (EIP-191, personal_sign)."""
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(text)).encode() + text)


@dataclass(frozen=True, slots=True)
class SigningDomain:
    """Where a signature counts: one chain, one Market contract."""

    chain_id: int
    market: Address

    def _message(self, name: str, values: dict[str, Any]) -> Message:
        separator = (
            keccak(f"EIP712Domain({_DOMAIN})".encode())
            + keccak(b"Shale")
            + keccak(b"1")
            + _word("uint256", self.chain_id)
            + _word("address", self.market)
        )
        body = keccak(f"{name}({_FIELDS[name]})".encode())
        for kind, key in _TYPES[name]:
            body += _word(kind, values[key])
        return Message(keccak(separator), keccak(body))

    def message(self, item: Signable) -> Message:
        """The EIP-712 message of an item, ready to sign or recover."""
        return self._message(type(item).__name__, words(item))

    def digest(self, item: Signable) -> str:
        """The 32 bytes that are signed, 0x-hex."""
        return "0x" + self.message(item).digest.hex()

    def order_hash(self, order: Order) -> OrderHash:
        return OrderHash(self.digest(order))

    def struct_hash(self, item: Signable) -> str:
        """The struct hash alone, as one item refers to another, 0x-hex."""
        return "0x" + self.message(item).body.hex()

    def sign(self, item: Signable, account: Signer) -> str:
        return "0x" + sign_digest(account, self.message(item).digest).hex()

    def check(self, item: Signable, signature: object, signer: Address) -> None:
        """Raise InputRefused unless `signer` signed `item`."""
        check_digest(self.message(item).digest, signature, signer, type(item).__name__.lower())

    def offer_message(self, provider: Address, contents: bytes, issued_at: int, expires_at: int) -> Message:
        values = {
            "provider": provider,
            "contents": keccak(contents),
            "issuedAt": issued_at,
            "expiresAt": expires_at,
        }
        return self._message("Offer", values)

    def offer_hash(self, signed: SignedOffer) -> str:
        """The struct hash of an offer: what orders and the registry refer to."""
        message = self.offer_message(signed.offer.provider, signed.contents, signed.issued_at, signed.expires_at)
        return "0x" + message.body.hex()

    def sign_offer(self, contents: bytes, issued_at: int, expires_at: int, account: Signer) -> SignedOffer:
        offer = offer_from_contents(contents)
        message = self.offer_message(offer.provider, contents, issued_at, expires_at)
        signature = "0x" + sign_digest(account, message.digest).hex()
        return SignedOffer(offer, contents, issued_at, expires_at, signature)

    def check_offer(self, signed: SignedOffer, now: int) -> None:
        """Raise InputRefused unless the provider itself signed the offer and it is still good."""
        if not signed.issued_at - 300 <= now < signed.expires_at:
            raise InputRefused("the offer has expired", "ask the provider again, and check both clocks")
        message = self.offer_message(signed.offer.provider, signed.contents, signed.issued_at, signed.expires_at)
        check_digest(message.digest, signed.signature, signed.offer.provider, "offer")


def check_digest(digest: bytes, signature: object, signer: Address, what: str) -> None:
    """Raise InputRefused unless `signer` signed this digest, in canonical form; `what` names it in the error."""
    if not isinstance(signature, str) or len(signature) != 132 or not signature.startswith("0x"):
        raise InputRefused(f"the {what}'s signature is malformed", "give 0x and 130 hex digits")
    try:
        recovered = recover(digest, bytes.fromhex(signature[2:]))
    except ValueError:
        raise InputRefused(f"the {what}'s signature is malformed", "sign it again") from None
    if recovered != signer:
        raise InputRefused(f"the {what} is signed by {recovered}, not by {signer}", "sign it with the right key")


def _word(kind: str, value: Any) -> bytes:
    """A value as one word of a struct. Raises InputRefused for one that doesn't fit its type."""
    try:
        if kind == "address":
            raw = bytes.fromhex(value[2:])
            if len(raw) == 20:
                return bytes(12) + raw
        elif kind == "bytes32":
            if len(value) == 32:
                return bytes(value)
        elif kind == "string":
            return keccak(value.encode())
        elif 0 <= value < 1 << int(kind.removeprefix("uint")):
            return int(value).to_bytes(32, "big")
    except (AttributeError, TypeError, ValueError):
        pass
    raise InputRefused(f"a value does not fit {kind}", "check the message's fields")


def text_hash(text: str) -> bytes:
    """How a text is bound in a struct: its keccak, or zero for none."""
    return keccak(text.encode()) if text else bytes(32)


def words(item: Signable) -> dict[str, Any]:
    """The struct's values as EIP-712 and the contracts' ABI take them."""
    match item:
        case Order():
            return {
                "client": item.client,
                "provider": item.provider,
                "offer": bytes.fromhex(item.offer[2:]),
                "cpuMillis": item.resources.cpu_millis,
                "memoryBytes": item.resources.memory_bytes,
                "diskBytes": item.resources.disk_bytes,
                "gpus": item.resources.gpus,
                "image": text_hash(item.image),
                "dataset": text_hash(item.dataset),
                "price": item.price.per_second.value,
                "maxSeconds": item.max_seconds,
                "tickSeconds": item.tick_seconds,
                "sshKey": text_hash(item.ssh_key),
                "gatewayKey": text_hash(item.gateway_key),
                "payKeyX": int(item.pay_key.x, 16),
                "payKeyY": int(item.pay_key.y, 16),
                "nonce": item.nonce,
                "deadline": item.deadline,
            }
        case Acceptance():
            return {
                "order": bytes.fromhex(item.order[2:]),
                "hostKey": text_hash(item.host_key),
                "deadline": item.deadline,
            }
        case Confirmation():
            return {
                "order": bytes.fromhex(item.order[2:]),
                "acceptance": bytes.fromhex(item.acceptance[2:]),
                "collateral": item.collateral.value,
                "deadline": item.deadline,
            }
        case End():
            return {
                "order": bytes.fromhex(item.order[2:]),
                "amount": item.amount.value,
                "numSeconds": item.seconds,
                "reason": int(item.reason),
                "at": item.at,
            }
        case Review():
            return {
                "order": bytes.fromhex(item.order[2:]),
                "stars": item.stars,
                "comment": item.comment,
                "deadline": item.deadline,
            }
        case Reading():
            return {
                "order": bytes.fromhex(item.order[2:]),
                "tick": item.tick,
                "numSeconds": item.seconds,
                "due": item.due.value,
                "at": item.at,
            }
