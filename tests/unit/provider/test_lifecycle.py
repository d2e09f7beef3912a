"""A lease's life while the books, the engine or a part of the daemon fail: no container runs on without its meter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.houses import House, open_house
from tests.locks import locked

from shale.errors import Refused, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.units import ZERO, LeaseId


@pytest_asyncio.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house(tmp_path, monkeypatch) as opened:
        yield opened


async def test_a_start_that_fails_while_the_books_are_locked_leaves_no_container_and_ends_later(house: House) -> None:
    held = await house.confirmed()
    with locked(house.counter.desk.store):
        with pytest.raises(Unavailable, match="books"):
            await house.start(held)
        assert house.engine.host.containers == {}
        assert house.lifecycle.living() == []
    await house.clock.advance(120)
    kept = await house.kept(held.id)
    assert (kept.lease.state, kept.lease.end_reason) == (LeaseState.ENDED, EndReason.START_FAILED)
    assert house.volumes.mounted == {}


async def test_a_container_that_cannot_be_removed_at_once_is_removed_later(house: House) -> None:
    held = await house.confirmed()
    await house.start(held)
    remove, calls = house.engine.remove, []

    async def failing(lease: LeaseId, volumes: Any = ()) -> None:
        calls.append(lease)
        if len(calls) < 3:
            raise Unavailable("the engine hangs")
        await remove(lease, volumes)

    house.engine.remove = failing  # type: ignore[method-assign]
    await house.lifecycle.end(held.id, EndReason.CLIENT_ENDED)
    assert held.id in house.engine.host.containers
    await house.clock.advance(10)
    assert house.engine.host.containers == {}


async def test_a_gateway_that_cannot_be_written_does_not_keep_a_container_alive(house: House) -> None:
    held = await house.confirmed()
    await house.start(held)
    house.door.broken = True
    await house.lifecycle.end(held.id, EndReason.CLIENT_ENDED)
    assert house.engine.host.containers == {}
    house.door.broken = False
    await house.clock.advance(2)
    assert house.door.grants == []


async def test_a_lease_that_the_chain_refuses_stands_frozen_until_the_books_can_end_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await house.confirmed()
    gate = asyncio.Event()

    async def refuse(*_: object) -> None:
        await gate.wait()
        raise Refused("the collateral is gone")

    monkeypatch.setattr(house.counter.desk.chain, "open_leases", refuse)
    await house.start(held)
    with locked(house.counter.desk.store):
        gate.set()
        await house.clock.advance(3)
        assert house.engine.host.containers[held.id].state.name == "PAUSED"
    await house.clock.advance(3)
    assert (await house.kept(held.id)).lease.end_reason is EndReason.ANCHOR_FAILED
    assert house.engine.host.containers == {}


async def test_a_container_that_exits_while_the_books_are_locked_ends_its_lease_later(house: House) -> None:
    held = await house.confirmed()
    await house.start(held)
    with locked(house.counter.desk.store):
        house.engine.host.exit(held.id, 1)
        await house.clock.advance(5)
    await house.clock.advance(5)
    assert (await house.kept(held.id)).lease.end_reason is EndReason.HOST_FAILURE


async def test_an_anchor_that_a_reorganisation_took_is_made_again(house: House) -> None:
    held, world = await house.confirmed(), house.counter.world
    before = world.mark()
    await house.start(held)
    await house.clock.advance(1)
    first = (await house.kept(held.id)).anchor_tx
    world.rewind(before)
    await house.lifecycle.lost(held.id)
    await house.clock.advance(1)
    assert held.id in world.leases
    assert (await house.kept(held.id)).anchor_tx not in ("", first)
    assert house.lifecycle.living() == [held.id]


async def test_a_lease_whose_money_is_gone_after_a_reorganisation_ends_here(house: House) -> None:
    held, world = await house.confirmed(), house.counter.world
    before = world.mark()
    await house.start(held)
    await house.clock.advance(1)
    world.rewind(before)
    world.balances[held.order.client] = ZERO  # the client has withdrawn it
    await house.lifecycle.lost(held.id)
    await house.clock.advance(1)
    assert (await house.kept(held.id)).lease.end_reason is EndReason.ANCHOR_FAILED
    assert house.engine.host.containers == {}


async def test_a_lease_whose_first_anchor_lands_again_by_itself_runs_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, world, chain = await house.confirmed(), house.counter.world, house.counter.desk.chain
    before = world.mark()
    await house.start(held)
    await house.clock.advance(1)
    there = world.mark()
    world.rewind(before)

    async def late(*_: object) -> None:
        world.rewind(there)
        raise Refused("the lease is open on chain")

    monkeypatch.setattr(chain, "open_leases", late)
    await house.lifecycle.lost(held.id)
    await house.clock.advance(1)
    assert house.lifecycle.living() == [held.id]
    assert (await house.kept(held.id)).anchor_tx == "known"


async def test_an_anchoring_that_hangs_ends_with_the_daemon(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    held, began, over = await house.confirmed(), asyncio.Event(), asyncio.Event()

    async def hang(*_: object) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    monkeypatch.setattr(house.counter.desk.chain, "open_leases", hang)
    await house.start(held)
    await house.clock.advance(1)
    assert (began.is_set(), over.is_set()) == (True, False)
    await house.lifecycle.rest()
    assert over.is_set()
