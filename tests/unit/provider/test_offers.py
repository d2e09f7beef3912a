"""Offers: what is published fits into an offer, whatever lies on the shelf."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.desks import CONFIG, PIECE, ROOT, TOTAL, Counter

from shale.client.keys import new_ssh_key
from shale.market.offer import MAX_OFFER_BYTES, Claim, Dataset, Entry, Offer, Piece, offer_from_contents
from shale.provider import offers as module
from shale.provider import screens
from shale.provider.catalogue import Catalogue
from shale.provider.claims import Claims
from shale.provider.dataset_routes import DatasetRoutes
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


@pytest.fixture
async def full(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> Offers:
    """Of a provider with more datasets than its offer has room for."""
    monkeypatch.setattr(module, "MAX_OFFER_BYTES", 2000)
    for number in range(12):
        await counter.desk.shelf.add(Item(large(number, 1), (Place("/x"),)), 1)
    desk, key = counter.desk, new_ssh_key().public
    machine = Machine(desk.total, "x", (), ())
    return Offers(desk.config, machine, desk.shelf, desk.clock, counter.operator, desk.signing, "gateway", key, "")


async def test_what_is_left_out_is_logged_once_and_not_at_each_request(
    counter: Counter, full: Offers, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        await full.current(counter.desk.total)
    assert len([record for record in caplog.records if "too large" in record.getMessage()]) == 1


async def test_a_dataset_for_which_the_offer_has_no_room_is_not_listed_as_offered(
    counter: Counter, full: Offers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = counter.desk
    catalogue = Catalogue(desk.shelf, tmp_path, counter.clock, Claims("", ""))
    shown = await DatasetRoutes(catalogue, lambda: full.left_out(desk.total)).shown()
    contents = json.loads((await full.current(desk.total)).contents)
    published = {dataset["root"] for dataset in contents["datasets"]}
    assert 0 < len(published) < len(shown)
    assert {item["root"] for item in shown if item["offered"]} == published
    rest = [item for item in shown if not item["offered"]]
    assert {(item["readable"], item["why"]) for item in rest} == {(True, "not in the offer: it is full")}
    screens.show_datasets(shown, "")
    lines = capsys.readouterr().out.splitlines()
    assert sum("not in the offer: it is full" in line for line in lines) == len(rest)
    status = {"name": "Fjord", "provider": "0x1", "provider_f410": "f4", "endpoint": "http://x", "leases": []}
    money = {"balance_attofil": "0", "owed_attofil": "0"}
    resources = {"total": desk.total.to_json(), "free": desk.total.to_json()}
    screens.show_status(status | money | resources | {"datasets": shown})
    assert capsys.readouterr().out.replace("\n", " ").count("full") == len(rest)
