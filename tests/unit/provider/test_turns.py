"""Turns at something scarce: many that want all of it don't keep it from one that wants a little."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.desks import Counter

from shale.clock import ManualClock
from shale.errors import Unavailable
from shale.provider.search import Search
from shale.provider.turns import Turns, name_of


async def work(turns: Turns, clock: ManualClock, who: str, count: int, done: list[str]) -> None:
    """So many turns of a second."""
    async with turns.visit(who) as visit:
        for _ in range(count):
            async with visit.turn():
                await clock.sleep_until(clock.steady() + 1)
    done.append(who)


async def test_forty_long_visits_do_not_keep_a_short_one_waiting() -> None:
    clock, done = ManualClock(), list[str]()
    turns = Turns(clock, places=2, most=128, most_of_one=8)
    greedy = [asyncio.create_task(work(turns, clock, f"greedy{n}", 100, done)) for n in range(40)]
    await clock.advance(30)
    short = asyncio.create_task(work(turns, clock, "short", 1, done))
    await clock.advance(2)
    assert short.done()
    assert done == ["short"]
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)


async def test_who_had_least_is_next() -> None:
    clock, done = ManualClock(), list[str]()
    turns = Turns(clock, places=1, most=128, most_of_one=8)
    tasks = [asyncio.create_task(work(turns, clock, who, n, done)) for who, n in (("a", 5), ("b", 2), ("c", 1))]
    await clock.advance(20)
    assert done == ["c", "b", "a"]
    await asyncio.gather(*tasks)


async def test_nobody_has_more_than_his_share_of_visits() -> None:
    clock = ManualClock()
    turns = Turns(clock, places=1, most=10, most_of_one=3)
    tasks = [asyncio.create_task(work(turns, clock, "one", 9, [])) for _ in range(4)]
    await clock.settle()
    with pytest.raises(Unavailable, match="too many of your requests"):
        await tasks[3]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_full_house_lets_a_newcomer_in_for_whoever_has_most_there() -> None:
    clock, done = ManualClock(), list[str]()
    turns = Turns(clock, places=1, most=6, most_of_one=3)
    many = [asyncio.create_task(work(turns, clock, f"greedy{n % 2}", 50, done)) for n in range(6)]
    await clock.settle()
    newcomer = asyncio.create_task(work(turns, clock, "new", 1, done))
    await clock.advance(3)
    assert newcomer.exception() is None if newcomer.done() else False
    assert [task.done() for task in many].count(True) == 1
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)


async def test_visitors_that_leave_while_they_wait_cost_no_place() -> None:
    clock, done = ManualClock(), list[str]()
    turns = Turns(clock, places=1, most=128, most_of_one=128)
    tasks = [asyncio.create_task(work(turns, clock, "one", 5, done)) for _ in range(50)]
    await clock.advance(3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    last = asyncio.create_task(work(turns, clock, "last", 1, done))
    await clock.advance(1)
    assert last.done()
    assert done == ["last"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("", "", True),
    ],
)
def test_an_address_stands_for_its_customer(one: str, other: str, same: bool) -> None:
    assert (name_of(one) == name_of(other)) is same


async def test_forty_searches_of_others_deny_nobody_his_own(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    search = Search(counter.desk.store, counter.desk.shelf, counter.clock)
    match = search._match

    async def slow(dataset: object, words: tuple[str, ...]) -> object:
        if words == ("greedy",):
            await counter.clock.sleep_until(counter.clock.steady() + 1)
        return await match(dataset, words)  # type: ignore[arg-type]

    items = await counter.desk.shelf.all()

    async def many() -> list[object]:
        return list(items) * 200

    monkeypatch.setattr(search, "_match", slow)
    monkeypatch.setattr(search._shelf, "readable", many)
    greedy = [asyncio.create_task(search.find("greedy", f"192.0.2.{n}")) for n in range(40)]
    await counter.clock.advance(5)
    monkeypatch.setattr(search._shelf, "readable", counter.desk.shelf.all)
    own = asyncio.create_task(search.find("digits", "198.51.100.7"))
    for _ in range(100):
        await counter.clock.advance(1)
        await asyncio.sleep(0.01)
        if own.done():
            break
    assert [found.dataset.name for found in await own] == ["digits"]
    assert not any(task.done() and task.exception() is None for task in greedy)
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)
