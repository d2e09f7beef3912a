"""The lookout: a node or a server that hangs hides nothing of what the files say, and takes nothing that was known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.desks import PIECE, ROOT, Counter
from tests.servers import hanging
from tests.unit.provider.test_claims import OURS, Node

from shale.errors import Unavailable
from shale.market.offer import Claim
from shale.provider import claims
from shale.provider.claims import Claims
from shale.provider.lookout import FILES_SECONDS, Lookout
from shale.provider.shelf import Item
from shale.units import Cid


class Slow(Node):
    """A node that tells of its claims, and never of a sector."""

    async def sector(self, miner: int, number: int) -> None:
        await asyncio.Event().wait()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await true():
            await asyncio.sleep(0.01)


async def test_a_file_that_goes_is_seen_while_the_node_hangs(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "Lotus", lambda url: Slow(replace(OURS, size=128)))
    shelf, clock = counter.desk.shelf, counter.clock
    looking = Lookout(shelf, Claims("http://node.example", "f01000"), clock)
    tasks = [asyncio.create_task(work()) for work in (looking.watch, looking.watch_servers, looking.watch_claims)]
    await clock.settle()
    (item,) = await shelf.all()
    Path(item.places[0].source).unlink()

    async def gone() -> bool:
        await clock.advance(FILES_SECONDS)
        return not await shelf.readable()

    await until(gone)
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_file_that_goes_is_seen_while_a_server_hangs(counter: Counter) -> None:
    shelf = counter.desk.shelf
    (item,) = await shelf.all()
    async with hanging() as url:
        far = replace(item.listing, root=Cid("bafyfar"), name="far")
        await shelf.add(Item(far, (replace(item.places[0], source=url),)), 1)
        looking = Lookout(shelf, Claims("", ""), counter.clock)
        tasks = [asyncio.create_task(work()) for work in (looking.watch, looking.watch_servers)]
        Path(item.places[0].source).unlink()

        async def gone() -> bool:
            await counter.clock.advance(FILES_SECONDS)
            return ROOT not in [one.listing.root for one in await shelf.readable()]

        await until(gone)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_claims_that_are_known_stay_while_the_node_hangs(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Claim(7, 9, 5_000_000)
    (item,) = await counter.desk.shelf.all()
    await counter.desk.shelf.set_claims(item, [known])
    monkeypatch.setattr(claims, "Lotus", lambda url: Slow(replace(OURS, size=128)))
    monkeypatch.setattr(claims, "SECTORS_SECONDS", 0.05)
    asked = Claims("http://node.example", "f01000")
    with pytest.raises(Unavailable, match="as they were last known"):
        await Lookout(counter.desk.shelf, asked, counter.clock).join_claims()
    assert "took over" in asked.trouble
    (item,) = await counter.desk.shelf.all()
    assert [piece.claim for piece in item.listing.pieces] == [known]
    assert item.listing.piece == PIECE


async def test_a_node_that_hangs_at_once_is_left_after_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "SECONDS", 0.05)
    async with hanging() as url:
        asked = Claims(url, "f01000")
        async with asked.register() as register:
            assert register is None
    assert "chain.lotus" in asked.trouble
