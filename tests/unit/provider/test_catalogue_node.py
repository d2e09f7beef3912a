"""The catalogue and a Lotus node that tells of claims but not of sectors: told, bounded, and asked no second time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.desks import Counter
from tests.unit.provider.test_claims import OURS, Node

from shale.chain.lotus import SectorInfo
from shale.errors import Unavailable
from shale.provider import claims
from shale.provider.catalogue import Catalogue
from shale.provider.claims import Claims
from shale.provider.groups import Wanted
from shale.provider.waiting import TELL_SECONDS

SECTORS = (1, 2, 3, 4)
SILENT = "the Lotus node does not answer"


class Silent(Node):
    """Answers all but what is asked of sectors: there it fails once `given_up` is set."""

    def __init__(self) -> None:
        super().__init__(*(replace(OURS, id=number, sector=number) for number in SECTORS))
        self.given_up = asyncio.Event()

    async def sector(self, miner: int, number: int) -> SectorInfo | None:
        self.asked.append(number)
        await self.given_up.wait()
        raise Unavailable(SILENT)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Silent:
    node = Silent()
    monkeypatch.setattr(claims, "Lotus", lambda url: node)
    return node


class Adding:
    """An add of four sectors that are claimed; what it told."""

    def __init__(self, counter: Counter, folder: Path, *, unclaimed: bool = False) -> None:
        self.told: list[dict[str, Any]] = []
        folder /= "sectors"
        folder.mkdir()
        for number in SECTORS:
            (folder / f"s-t01000-{number}").write_bytes(bytes(1024))
        catalogue = Catalogue(counter.desk.shelf, folder, counter.clock, Claims("http://node.example", "f01000"))
        self.work = asyncio.create_task(catalogue.add(Wanted((str(folder),), unclaimed=unclaimed), self.told.append))

    def of(self, key: str) -> list[dict[str, Any]]:
        return [line for line in self.told if key in line]


async def begun(node: Silent) -> None:
    async with asyncio.timeout(10):
        while not node.asked:
            await asyncio.sleep(0.01)


async def test_whoever_adds_sees_that_the_node_is_waited_for(counter: Counter, node: Silent, tmp_path: Path) -> None:
    adding = Adding(counter, tmp_path)
    await begun(node)
    await counter.clock.advance(2 * TELL_SECONDS)
    assert [(line["waiting"], line["seconds"]) for line in adding.of("waiting")] == [
        ("the Lotus node", TELL_SECONDS), ("the Lotus node", 2 * TELL_SECONDS)
    ]  # fmt: skip
    node.given_up.set()
    await adding.work


async def test_a_node_that_failed_is_not_asked_of_the_other_sectors(
    counter: Counter, node: Silent, tmp_path: Path
) -> None:
    node.given_up.set()
    adding = Adding(counter, tmp_path)
    await adding.work
    assert node.asked == [1]
    assert [SILENT in line["why"] for line in adding.of("skipped")] == [True] * len(SECTORS)


async def test_unclaimed_takes_the_cars_of_sectors_of_which_the_node_tells_nothing(
    counter: Counter, node: Silent, tmp_path: Path
) -> None:
    node.given_up.set()
    adding = Adding(counter, tmp_path, unclaimed=True)
    await adding.work
    assert not any(SILENT in line["why"] for line in adding.of("skipped")), "they were looked through"
    (notice,) = adding.of("notice")
    assert SILENT in notice["notice"]


async def test_a_node_that_is_slow_for_each_sector_is_left_after_a_time_for_all(
    counter: Counter, node: Silent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "SECTORS_SECONDS", 0.0)
    adding = Adding(counter, tmp_path)
    await asyncio.wait_for(adding.work, 10)
    assert len(node.asked) <= 1
    assert ["took over" in line["why"] for line in adding.of("skipped")] == [True] * len(SECTORS)
