"""A dataset that lies here more than once: each copy is kept and listed, the best is offered, the others stand in."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from tests.cars import Sample, list_files, pack_sample, padded, two_pieces
from tests.rooms import Room, open_room
from tests.servers import served

from shale.datasets import kernel
from shale.datasets.manifest import Manifest, ManifestPiece, manifest_to_json, sign


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(tmp_path) as room:
        yield room


@pytest.fixture
async def sample(tmp_path: Path) -> Sample:
    return await pack_sample(tmp_path)


async def offered_from(room: Room) -> list[str]:
    """The sources of all that is offered."""
    return [source for item in await room.shelf.readable() for source in item.sources]


async def shown(room: Room) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await room.client.get("/datasets")).json()["datasets"]
    return listed


async def test_a_claimed_copy_stays_offered_when_an_unclaimed_one_is_added(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    sector = tmp_path / "s-t01000-7"
    place = await padded(sample, sector, "0")
    room.claim(sample.piece, place.size)
    await room.add(sector)
    one, two = await two_pieces(sample, tmp_path)
    (added,), _ = await room.add(one, two, root=sample.root)
    assert added["copy"] == 1
    assert await offered_from(room) == [f"sector:{sector}?offset=0&size={place.size}"]
    assert [(item["copy"], item["offered"], item["readable"]) for item in await shown(room)] == [
        (0, True, True),
        (1, False, True),
    ]


async def test_a_better_copy_takes_the_place_of_the_first(room: Room, sample: Sample, tmp_path: Path) -> None:
    with served(sample.car) as url:
        await room.add(url)
        await room.add(sample.car)
        assert await offered_from(room) == [str(sample.car)], "what lies here is better than what a server has"
        one, two = await two_pieces(sample, tmp_path)
        await room.add(one, two, root=sample.root)
        for path, term in ((one, 500), (two, 900)):
            commitment = await kernel.commp(path)
            room.claim(commitment.v1, commitment.padded_size, term=term)
        await room.lookout.join_claims()
        assert await offered_from(room) == [str(one), str(two)], "claimed is better than unclaimed"


async def test_when_one_copy_is_gone_the_other_is_offered(room: Room, sample: Sample, tmp_path: Path) -> None:
    other = tmp_path / "again.car"
    shutil.copy(sample.car, other)
    await room.add(sample.car)
    await room.add(other)
    assert len(list(room.indexes.iterdir())) == 2
    assert await offered_from(room) == [str(sample.car)]
    away = sample.car.rename(tmp_path / "away")
    assert (await room.shelf.find(sample.root)).sources == (str(other),), "before anybody has looked"
    await room.lookout.look()
    assert await offered_from(room) == [str(other)]
    holding = (await room.shelf.find(sample.piece)).holding
    assert holding.index is not None
    assert await list_files(holding.sources[0], index=holding.index)
    away.rename(sample.car)
    await room.lookout.look()
    assert await offered_from(room) == [str(sample.car)]


async def test_a_fault_withdraws_the_copy_that_was_mounted_and_no_other(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    other = tmp_path / "again.car"
    shutil.copy(sample.car, other)
    await room.add(sample.car)
    await room.add(other)
    await room.shelf.report_fault(sample.root, "a corrupt block", 9, sources=(str(sample.car),))
    assert await offered_from(room) == [str(other)]
    assert [item["why"] for item in await shown(room)] == ["a corrupt block", ""]
    assert (await room.check(sample.root)) == {"sound": sample.root, "copy": 1} | {"dataset": (await shown(room))[1]}
    assert await offered_from(room) == [str(sample.car)]


async def test_one_copy_is_removed_and_the_other_stays(room: Room, sample: Sample, tmp_path: Path) -> None:
    other = tmp_path / "again.car"
    shutil.copy(sample.car, other)
    await room.add(sample.car)
    await room.add(other)
    assert (await room.client.delete(f"/datasets/{sample.root}", params={"copy": "5"})).status_code == 410
    assert (await room.client.delete(f"/datasets/{sample.root}", params={"copy": "x"})).status_code == 409
    assert (await room.client.delete(f"/datasets/{sample.root}", params={"copy": "0"})).status_code == 200
    assert await offered_from(room) == [str(other)]
    assert [entry.path for entry in (await room.search.find("labels"))[0].files] == ["train/labels.csv"]
    assert [path.name for path in room.indexes.iterdir()] == [f"{sample.root}.1"]
    assert (await room.client.delete(f"/datasets/{sample.root}")).status_code == 200
    assert await shown(room) == []
    assert list(room.indexes.iterdir()) == []


async def test_the_same_source_again_is_the_same_copy_under_its_name(room: Room, sample: Sample) -> None:
    await room.add(sample.car, name="numbers")
    (added,), _ = await room.add(sample.car)
    assert (added["copy"], added["name"]) == (0, "numbers")
    (added,), _ = await room.add(sample.car, name="digits")
    assert [item["name"] for item in await shown(room)] == ["digits"]


async def test_copies_that_are_added_at_once_have_the_name_of_the_first(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    other = tmp_path / "again.car"
    shutil.copy(sample.car, other)
    added, _ = await room.add(sample.car, other, name="digits")
    assert [item["name"] for item in added] == ["digits sample-1"] * 2
    assert [item["name"] for item in await shown(room)] == ["digits sample-1"] * 2


async def test_copies_of_the_same_pieces_are_described_by_one_manifest(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    first, last, halves = tmp_path / "first.car", tmp_path / "last.car", await two_pieces(sample, tmp_path)
    for path in (first, last):
        shutil.copy(sample.car, path)
    commitment = await kernel.commp(sample.car)
    piece = ManifestPiece(commitment.v1, commitment.raw_size, commitment.padded_size)
    account = Account.create()
    signed = sign(Manifest("Numbers", "some", "CC0-1.0", sample.root, (piece,)), account)
    await room.add(first, name="before")
    await room.add(*halves, root=sample.root)
    await room.add(sample.car, manifest=manifest_to_json(signed))
    await room.add(last)
    told = {item["pieces"][0]["source"]: (item["name"], item["signer"]) for item in await shown(room)}
    assert told == {
        str(first): ("Numbers", account.address),
        str(halves[0]): ("Numbers", ""),  # other pieces than those that were signed
        str(sample.car): ("Numbers", account.address),
        str(last): ("Numbers", account.address),
    }
