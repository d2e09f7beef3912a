"""Offers: what is published fits into an offer, whatever lies on the shelf."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.desks import CONFIG, PIECE, ROOT, TOTAL, Counter

from shale.client.keys import new_ssh_key
from shale.market.offer import MAX_OFFER_BYTES, Claim, Dataset, Entry, Offer, Piece, offer_from_contents
from shale.provider import offers as module
from shale.provider.inventory import Machine
from shale.provider.offers import Offers, fitted
from shale.provider.shelf import Item, Place
from shale.units import Cid, checked_address


def offer(*datasets: Dataset) -> Offer:
    return Offer(
        provider=checked_address("0x" + "0" * 39 + "1"), miner="", name="Fjord", endpoint="http://fjord.example:8420",
        gateway_host="fjord.example", gateway_port=8422, gateway_user="shale", host_key=new_ssh_key().public,
        total=TOTAL, free=TOTAL, cpu_model="x", gpus=(), tariff=CONFIG.tariff, tick_seconds=5, max_seconds=3600,
        images=(), datasets=datasets,
    )  # fmt: skip


def large(number: int, pieces: int) -> Dataset:
    entries = tuple(Entry(f"{'x' * 240}{index}", 1, 1) for index in range(64))
    claimed = tuple(Piece(PIECE, 1 << 35, Claim(index, index, 10**7)) for index in range(pieces))
    return Dataset(f"n{number}", Cid(f"{ROOT}{number}"), PIECE, 1, 1, entries, pieces=claimed)


def test_an_offer_that_fits_is_as_it_is() -> None:
    whole = offer(large(1, 1))
    assert offer_from_contents(fitted(whole)[0]) == whole


def test_too_many_entries_are_left_out_before_any_dataset() -> None:
    contents, left_out = fitted(offer(*(large(number, 1) for number in range(256))))
    assert left_out == 0
    assert len(contents) <= MAX_OFFER_BYTES
    read = offer_from_contents(contents)
    assert len(read.datasets) == 256
    assert all(len(dataset.pieces) == 1 for dataset in read.datasets)


def test_too_many_pieces_cost_the_last_datasets() -> None:
    whole = offer(*(large(number, 1024) for number in range(40)))
    contents, left_out = fitted(whole)
    read = offer_from_contents(contents)
    assert 0 < len(read.datasets) == 40 - left_out < 40
    assert read.datasets == tuple(replace(d, entries=()) for d in whole.datasets[: len(read.datasets)])


async def test_what_is_left_out_is_logged_once_and_not_at_each_request(
    counter: Counter, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_OFFER_BYTES", 2000)
    for number in range(12):
        await counter.desk.shelf.add(Item(large(number, 1), (Place("/x"),)), 1)
    desk, key = counter.desk, new_ssh_key().public
    machine = Machine(desk.total, "x", (), ())
    offers = Offers(desk.config, machine, desk.shelf, desk.clock, counter.operator, desk.signing, "gateway", key, "")
    for _ in range(3):
        await offers.current(desk.total)
    assert len([record for record in caplog.records if "too large" in record.getMessage()]) == 1
