"""Reviewing: a client's review of a lease, sent by itself, or signed into a file that whoever has gas posts."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shale.addresses import parse_address
from shale.chain.chain import Chain, LeaseRecord, Receipt
from shale.errors import Closed, InputRefused, Refused
from shale.market.accounts import Account
from shale.market.order import Order, order_from_json, order_to_json, text_of, whole
from shale.market.review import MAX_COMMENT_BYTES, Review, weigh
from shale.market.signing import SigningDomain
from shale.units import Address, LeaseId, checked_address
from shale.wire import read_json

VALID_SECONDS = 30 * 86400
"""How long a signed review may be posted."""
MAX_FILE = 32 * 1024
"""Of a signed review, in bytes: several times what the largest order and signature take."""
MAX_SIGNATURE = 4096
"""In bytes: a wallet that is a contract may take several signatures together."""


@dataclass(frozen=True, slots=True)
class SignedReview:
    """A review with the order that it is of, and the client's signature for one market on one chain."""

    domain: SigningDomain
    order: Order
    review: Review
    signature: str

    def to_json(self) -> dict[str, Any]:
        return {
            "chain_id": self.domain.chain_id,
            "market": self.domain.market,
            "order": order_to_json(self.order),
            "stars": self.review.stars,
            "comment": self.review.comment,
            "deadline": self.review.deadline,
            "signature": self.signature,
        }


def signed_from_json(raw: bytes) -> SignedReview:
    """Read a signed review from outside: every field typed and bounded, the signature as yet unchecked.

    Raises InputRefused.
    """
    try:
        value = read_json(raw)
        domain = SigningDomain(whole(value["chain_id"]), checked_address(text_of(value["market"], 42)))
        order = order_from_json(value["order"])
        stars, deadline, comment = whole(value["stars"], 5), whole(value["deadline"]), value["comment"]
        if not isinstance(comment, str) or len(comment) > MAX_COMMENT_BYTES:
            raise InputRefused("the comment is missing or too long", f"keep it within {MAX_COMMENT_BYTES} bytes")
        review = Review(domain.order_hash(order), stars, comment, deadline)
        return SignedReview(domain, order, review, _signature(value["signature"]))
    except (KeyError, TypeError, ValueError):
        raise InputRefused("that is no signed review", "make one with shale review NAME --sign-only FILE") from None


def read_signed(path: Path) -> SignedReview:
    """The signed review in a file. Raises InputRefused, also when it can't be read or is too large."""
    try:
        with path.open("rb") as handle:
            raw = handle.read(MAX_FILE + 1)
    except OSError as error:
        raise InputRefused(f"{path} can't be read ({error.strerror})", "give the file of a signed review") from None
    if len(raw) > MAX_FILE:
        raise InputRefused(f"{path} is too large for a signed review", "give the file of a signed review")
    try:
        return signed_from_json(raw)
    except InputRefused as error:
        raise InputRefused(f"{path}: {error.message}", error.hint) from None


def write_signed(signed: SignedReview, path: Path) -> None:
    """Write it to a new file. Raises InputRefused when there is one already, or none can be made."""
    try:
        with path.open("x", encoding="utf-8") as handle:
            json.dump(signed.to_json(), handle, indent=2, ensure_ascii=False)
            handle.write("\n")
    except FileExistsError:
        raise InputRefused(f"{path} is there already", "name another file") from None
    except OSError as error:
        raise InputRefused(f"{path} can't be written ({error.strerror})", "name another file") from None


async def reviewable(chain: Chain, lease: LeaseId, name: str) -> LeaseRecord:
    """The lease's record, if it can be reviewed now; `name` is how the errors call it.

    Raises Refused while it isn't settled, Closed when it is reviewed.
    """
    record = await chain.lease(lease)
    if record is None:
        raise Refused(f"the lease {name} never got to the chain", "there is nothing to review")
    if not record.closed:
        raise Refused(f"the lease {name} is not settled yet", "try again once the provider has settled it")
    if record.reviewed:
        raise Closed(f"the lease {name} is reviewed already", "each lease is reviewed once")
    return record


async def post(chain: Chain, domain: SigningDomain, signed: SignedReview) -> tuple[LeaseRecord, Receipt]:
    """Post somebody's review on the network of this domain, if it could count there.

    Who signed it is left to the contract, which sees before anything is spent: the client may be a contract itself.
    """
    if signed.domain != domain:
        raise InputRefused(
            f"the review is for the market {signed.domain.market} on the chain {signed.domain.chain_id}",
            "name its network: shale --network NAME review --post FILE",
        )
    deadline = signed.review.deadline
    if (await chain.heads()).time > deadline:
        raise Refused(f"the review was to be posted until {day_of(deadline)}", "its client must sign it anew")
    record = await reviewable(chain, signed.review.lease, f"{signed.review.lease[:10]}…")
    return record, await chain.review_signed(signed.order, signed.review, signed.signature)


async def give(chain: Chain, domain: SigningDomain, account: Account, order: Order, review: Review) -> Receipt:
    """Send the client's review of its lease from the account, which is the client or signs for it (ERC-1271)."""
    if order.client == checked_address(account.address):
        return await chain.review(order, review)
    signed = await dated(chain, review)
    return await chain.review_signed(order, signed, domain.sign(signed, account))


async def dated(chain: Chain, review: Review) -> Review:
    """The review as it is signed: for so long, by the chain's time."""
    return replace(review, deadline=(await chain.heads()).time + VALID_SECONDS)


def weight_of(order: Order, record: LeaseRecord) -> int:
    """What a review of this closed lease weighs, in seconds."""
    return weigh(order.price.per_second, record.paid, record.seconds, record.closed_at - record.opened_at)


def day_of(at: int) -> str:
    """The day of a time on chain, in UTC; a time that no calendar has is shown as it is."""
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
    return str(at)


def address_in(text: str) -> Address | None:
    """The address that a text is, in any form; None if it can only be a name. Raises InputRefused for a bad one."""
    try:
        return parse_address(text)
    except InputRefused:
        if re.fullmatch(r"\s*(0[xX].*|[ft][0-4][0-9a-z]+)\s*", text):
            raise
        return None


def _signature(raw: object) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"0x(?:[0-9a-fA-F]{2})+", raw) or len(raw) > 2 + 2 * MAX_SIGNATURE:
        raise InputRefused("the review's signature is malformed", f"give 0x and hex of at most {MAX_SIGNATURE} bytes")
    return raw
