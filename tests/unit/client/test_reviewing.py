"""Signed reviews: a file that anyone may have written, posted by whoever has gas; and whose reviews are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shale.addresses import f410
from shale.chain.chain import MAX_REVIEWS, ReviewRecord
from shale.chain.memory import MemoryChain
from shale.client.cli.reviews import MOST, chosen
from shale.client.rental import Rental
from shale.client.reviewing import (
    MAX_FILE,
    SignedReview,
    address_in,
    day_of,
    give,
    post,
    read_signed,
    signed_from_json,
    weight_of,
    write_signed,
)
from shale.errors import Closed, InputRefused, Refused
from shale.market.accounts import Account
from shale.market.review import Review
from shale.market.signing import SigningDomain
from shale.units import ZERO, AttoFil, checked_address


class Desk:
    """A lease that its provider gave back, the client's signed review of it, and a wallet that posts it."""

    def __init__(self, bench: Any, rental: Rental) -> None:
        self.bench = bench
        self.rental = rental
        poster = checked_address(Account.create().address)
        bench.world.wallets[poster] = AttoFil(10**18)
        self.poster = MemoryChain(bench.world, poster)

    async def close(self) -> None:
        await MemoryChain(self.bench.world, self.rental.order.provider).refund([self.rental.id])

    def sign(self, **changes: Any) -> SignedReview:
        review = Review(self.rental.order_hash, 4, "steady – 快", self.bench.clock.now() + 3600)
        review = replace(review, **changes)
        domain = self.bench.signing
        return SignedReview(domain, self.rental.order, review, domain.sign(review, self.bench.account))

    async def post(self, signed: SignedReview) -> None:
        await post(self.poster, self.bench.signing, signed)

    async def reviews(self) -> list[ReviewRecord]:
        return await self.poster.reviews(self.rental.order.provider, 10)


@pytest.fixture
async def desk(bench: Any) -> Desk:
    rental = await bench.lease()
    await bench.anchor(rental)
    return Desk(bench, rental)


async def test_a_signed_review_goes_through_a_file_and_is_posted_by_another(desk: Desk, tmp_path: Path) -> None:
    await desk.close()
    signed, file = desk.sign(), tmp_path / "review.json"
    write_signed(signed, file)
    assert read_signed(file) == signed
    record, receipt = await post(desk.poster, desk.bench.signing, read_signed(file))
    (found,) = await desk.reviews()
    assert (found.stars, found.comment, found.client) == (4, "steady – 快", desk.bench.me)
    assert (found.tx, found.paid, found.weight_seconds) == (receipt.tx, ZERO, weight_of(signed.order, record))
    with pytest.raises(Closed, match="reviewed already"):
        await desk.post(signed)


async def test_a_client_sends_its_own_review_and_a_contracts_is_signed_for_it(bench: Any) -> None:
    contract = checked_address("0x" + "c0" * 20)
    bench.world.contracts[contract] = bench.door.keys[contract] = bench.me
    bench.world.balances[contract] = AttoFil(10**18)
    for name, leasing in (("own", None), ("ours", replace(bench.leasing(), contract=contract))):
        rental = await bench.lease(name, leasing)
        await bench.anchor(rental)
        await MemoryChain(bench.world, rental.order.provider).refund([rental.id])
        review = Review(rental.order_hash, 4, name)
        await give(bench.chain, bench.signing, bench.account, rental.order, review)
    found = await bench.chain.reviews(rental.order.provider, 10)
    assert [(one.client, one.comment) for one in found] == [(contract, "ours"), (bench.me, "own")]


async def test_a_file_that_is_there_is_not_written_over(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "review.json"
    file.write_text("dear")
    for path, why in ((file, "is there already"), (tmp_path / "no" / "x", "can't be written"), (tmp_path, "already")):
        with pytest.raises(InputRefused, match=why):
            write_signed(desk.sign(), path)
    assert file.read_text() == "dear"


async def test_a_review_is_posted_only_where_and_while_it_can_count(desk: Desk) -> None:
    with pytest.raises(Refused, match="not settled yet"):
        await desk.post(desk.sign())
    await desk.close()
    now = desk.bench.clock.now()
    with pytest.raises(Refused, match=f"posted until {day_of(now - 1)}: its client must sign it anew"):
        await desk.post(desk.sign(deadline=now - 1))
    elsewhere = replace(desk.sign(), domain=SigningDomain(314, desk.bench.signing.market))
    with pytest.raises(InputRefused, match="on the chain 314: name its network"):
        await desk.post(elsewhere)
    for spoilt in (
        replace(desk.sign(), review=desk.sign(stars=1).review),
        replace(desk.sign(), signature=desk.bench.signing.sign(desk.sign().review, Account.create())),
    ):
        with pytest.raises(Refused, match="is signed by"):
            await desk.post(spoilt)
    assert await desk.reviews() == []


SPOILT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda raw: [raw],
    "no order": lambda raw: raw.pop("order"),
    "an order of texts": lambda raw: raw.update(order=dict.fromkeys(raw["order"], "x")),
    "resources of no kind": lambda raw: raw["order"].update(resources=7),
    "a price beyond all money": lambda raw: raw["order"].update(price="9" * 30),
    "half a star": lambda raw: raw.update(stars=4.5),
    "no star": lambda raw: raw.update(stars=0),
    "six stars": lambda raw: raw.update(stars=6),
    "true": lambda raw: raw.update(stars=True),
    "a number as comment": lambda raw: raw.update(comment=7),
    "a comment that acts": lambda raw: raw.update(comment="\x1b[2J"),
    "half a character": lambda raw: raw.update(comment="\ud800"),
    "a long comment": lambda raw: raw.update(comment="é" * 141),
    "a very long comment": lambda raw: raw.update(comment="a" * 9000),
    "a deadline before all time": lambda raw: raw.update(deadline=-1),
    "a deadline after all time": lambda raw: raw.update(deadline=2**64),
    "a market that is none": lambda raw: raw.update(market="0x12"),
    "a chain that is none": lambda raw: raw.update(chain_id="314"),
    "no signature": lambda raw: raw.update(signature=None),
    "half a byte": lambda raw: raw.update(signature="0x123"),
    "no hex": lambda raw: raw.update(signature="0xzz"),
    "a signature without end": lambda raw: raw.update(signature="0x" + "00" * 4097),
}


@pytest.mark.parametrize("how", list(SPOILT))
async def test_a_spoilt_file_is_refused_in_one_line(desk: Desk, tmp_path: Path, how: str) -> None:
    raw = desk.sign().to_json()
    changed = SPOILT[how](raw)
    file = tmp_path / "review.json"
    file.write_text(json.dumps(changed if isinstance(changed, list) else raw))
    with pytest.raises(InputRefused) as refused:
        read_signed(file)
    assert str(file) in refused.value.message
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400 + len(str(file))


@pytest.mark.parametrize("raw", [b"", b"null", b"7", b"{", b"\xff", b"[" * 30_000, b'{"chain_id": 1}', b"NaN"])
def test_what_is_no_signed_review_is_refused(raw: bytes) -> None:
    with pytest.raises(InputRefused):
        signed_from_json(raw)


async def test_a_file_is_read_no_further_than_a_review_can_reach(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "review.json"
    file.write_bytes(json.dumps(desk.sign().to_json()).encode().ljust(MAX_FILE))
    assert read_signed(file) == desk.sign()
    file.write_bytes(b" " * (MAX_FILE + 1))
    for path, why in ((file, "too large"), (Path("/dev/zero"), "too large"), (tmp_path, "can't be read")):
        with pytest.raises(InputRefused, match=why):
            read_signed(path)


async def test_a_contracts_signature_of_its_own_form_is_left_to_the_chain(desk: Desk) -> None:
    raw = desk.sign().to_json() | {"signature": "0x" + "ab" * 4096}
    assert signed_from_json(json.dumps(raw).encode()).signature == "0x" + "ab" * 4096


def test_a_provider_is_named_by_any_form_of_its_address_or_by_its_name(bench: Any) -> None:
    found, me = bench.door.found(), bench.door.operator
    assert address_in(me) == address_in(f410(me)) == address_in(f" {me.lower()} ") == me
    assert address_in("Fjord") is None
    assert chosen([found], " fjord ") == me
    for bad in ("0x12", "f410fabc", "f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za"):
        with pytest.raises(InputRefused):
            address_in(bad)
    with pytest.raises(InputRefused, match="no provider is named 'elsewhere' now"):
        chosen([found], "elsewhere")


def test_a_name_that_two_providers_bear_names_neither(bench: Any) -> None:
    found = bench.door.found()
    other = replace(found, record=replace(found.record, operator=bench.me))
    with pytest.raises(InputRefused, match=rf"2 providers are named 'Fjord': give an address: {bench.door.operator}"):
        chosen([found, other], "Fjord")


def test_as_many_can_be_asked_for_as_a_chain_gives() -> None:
    assert MOST == MAX_REVIEWS


def test_a_time_that_no_calendar_has_is_shown_as_a_number() -> None:
    assert day_of(1_800_000_000) == "2027-01-15"
    assert day_of(2**64 - 1) == str(2**64 - 1)
