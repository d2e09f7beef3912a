"""The suite that every Engine must pass: subclass `EngineChecks` and give it a `bench` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from shale.containers.engine import ContainerSpec, ContainerState, Engine, Mount
from shale.errors import Closed, InputRefused, Refused, ShaleError
from shale.units import LeaseId

LEASE = LeaseId("0x" + "c1" * 31)
OTHER_LEASE = LeaseId("0x" + "c2" * 31)
NOBODYS = LeaseId("0x" + "c3" * 31)


class Bench(Protocol):
    """What the suite needs of an adapter's test: `engine` is fresh, no lease of the suite has a container."""

    engine: Engine

    def spec(self, lease: LeaseId) -> ContainerSpec:
        """A small container that starts."""
        ...

    def another(self) -> Engine:
        """A second engine of the same provider over the same containers, as after a restart."""
        ...

    def strangers(self) -> Engine:
        """An engine of another provider over the same machine."""
        ...

    async def exit_inside(self, lease: LeaseId, code: int) -> None:
        """Make the lease's container end by itself with this exit code."""
        ...


class EngineChecks:
    """What the provider relies on: at most one container a lease, all or nothing, found again, events."""

    async def test_it_names_itself(self, bench: Bench) -> None:
        assert await bench.engine.check()

    async def test_a_started_container_runs_and_has_an_address(self, bench: Bench) -> None:
        container = await bench.engine.start(bench.spec(LEASE))
        assert (container.lease, container.state) == (LEASE, ContainerState.RUNNING)
        assert container.address
        assert 20_000 <= container.port < 32_768
        assert container.exit_code is None
        assert await bench.engine.find(LEASE) == container
        assert await bench.engine.all() == [container]

    async def test_starting_twice_gives_the_same_container(self, bench: Bench) -> None:
        first = await bench.engine.start(bench.spec(LEASE))
        assert await bench.engine.start(bench.spec(LEASE)) == first
        assert await bench.engine.all() == [first]

    async def test_starts_at_once_make_one_container(self, bench: Bench) -> None:
        first, second = await asyncio.gather(*(bench.engine.start(bench.spec(LEASE)) for _ in range(2)))
        assert first == second
        assert await bench.engine.all() == [first]

    async def test_leases_have_containers_of_their_own(self, bench: Bench) -> None:
        one, two = await asyncio.gather(*(bench.engine.start(bench.spec(x)) for x in (LEASE, OTHER_LEASE)))
        assert one.address != two.address
        await bench.engine.remove(LEASE)
        assert await bench.engine.all() == [two]

    async def test_a_container_is_found_again_after_a_restart(self, bench: Bench) -> None:
        container = await bench.engine.start(bench.spec(LEASE))
        await bench.engine.close()
        assert await bench.another().all() == [container]
        assert await bench.another().start(bench.spec(LEASE)) == container

    async def test_another_providers_container_is_not_ours(self, bench: Bench) -> None:
        container = await bench.engine.start(bench.spec(LEASE))
        stranger = bench.strangers()
        assert await stranger.all() == []
        assert isinstance(await _failure(stranger.find(LEASE)), Closed)
        await stranger.remove(LEASE)
        assert await bench.engine.find(LEASE) == container

    async def test_freezing_and_thawing_may_be_repeated(self, bench: Bench) -> None:
        await bench.engine.start(bench.spec(LEASE))
        for _ in range(2):
            await bench.engine.freeze(LEASE)
            assert (await bench.engine.find(LEASE)).state is ContainerState.PAUSED
        assert (await bench.engine.start(bench.spec(LEASE))).state is ContainerState.PAUSED
        for _ in range(2):
            await bench.engine.thaw(LEASE)
            assert (await bench.engine.find(LEASE)).state is ContainerState.RUNNING

    async def test_a_frozen_container_can_be_removed(self, bench: Bench) -> None:
        await bench.engine.start(bench.spec(LEASE))
        await bench.engine.freeze(LEASE)
        await bench.engine.remove(LEASE)
        assert await bench.engine.all() == []

    async def test_removing_may_be_repeated(self, bench: Bench) -> None:
        await bench.engine.start(bench.spec(LEASE))
        await asyncio.gather(bench.engine.remove(LEASE), bench.engine.remove(LEASE))
        await bench.engine.remove(LEASE)
        assert await bench.engine.all() == []

    async def test_what_is_not_there_is_closed(self, bench: Bench) -> None:
        engine = bench.engine
        for call in (engine.find, engine.freeze, engine.thaw, engine.usage, engine.wait_exit):
            assert isinstance(await _failure(call(NOBODYS)), Closed), call
        await engine.remove(NOBODYS)

    async def test_usage_stays_within_the_limit(self, bench: Bench) -> None:
        spec = bench.spec(LEASE)
        await bench.engine.start(spec)
        usage = await bench.engine.usage(LEASE)
        assert usage.memory_limit == spec.resources.memory_bytes
        assert 0 <= usage.memory_bytes <= usage.memory_limit
        assert usage.cpu_nanos >= 0

    async def test_an_exit_is_told_to_who_waits(self, bench: Bench) -> None:
        await bench.engine.start(bench.spec(LEASE))
        waiting = asyncio.create_task(bench.engine.wait_exit(LEASE))
        await bench.exit_inside(LEASE, 137)
        assert await waiting == 137
        ended = await bench.engine.find(LEASE)
        assert (ended.state, ended.exit_code) == (ContainerState.EXITED, 137)
        assert await bench.engine.wait_exit(LEASE) == 137

    async def test_an_exited_container_neither_runs_nor_freezes(self, bench: Bench) -> None:
        await bench.engine.start(bench.spec(LEASE))
        await bench.exit_inside(LEASE, 137)
        await bench.engine.wait_exit(LEASE)
        engine = bench.engine
        for call in (engine.freeze, engine.thaw, engine.usage):
            assert isinstance(await _failure(call(LEASE)), Closed), call
        assert (await engine.start(bench.spec(LEASE))).state is ContainerState.EXITED

    async def test_a_removal_ends_the_wait(self, bench: Bench) -> None:
        await bench.engine.start(bench.spec(LEASE))
        waiting = asyncio.create_task(bench.engine.wait_exit(LEASE))
        await asyncio.sleep(0)
        await bench.engine.remove(LEASE)
        await asyncio.wait_for(waiting, 30)

    async def test_an_unknown_image_is_refused_with_those_at_hand(self, bench: Bench) -> None:
        spec = replace(bench.spec(LEASE), image="shale/nobody-made-this:1")
        for failure in (
            await _failure(bench.engine.start(spec)),
            await _failure(bench.engine.image_digest(spec.image)),
        ):
            assert type(failure) is Refused
            assert spec.image in failure.message
            assert bench.spec(LEASE).image in failure.hint
        assert await bench.engine.all() == []

    async def test_an_image_has_one_digest(self, bench: Bench) -> None:
        image = bench.spec(LEASE).image
        assert await bench.engine.image_digest(image) == await bench.engine.image_digest(image)

    async def test_what_cannot_be_a_container_is_refused(self, bench: Bench) -> None:
        good = bench.spec(LEASE)
        bad = [
            replace(good, name="Not a host name"),
            replace(good, name="x" * 64),
            replace(good, image="../containers/json"),
            replace(good, image=""),
            replace(good, environment={"A=B": "c"}),
            replace(good, environment={"A": "nul\0"}),
        ]
        targets = (
            "data",
            "/",
            "//data",
            "/data/",
            "/a/../b",
            "/proc/x",
            "/.shale/keys",
            "/etc",
            "/a\nb",
            "/" + "x" * 300,
        )
        bad += [replace(good, mounts=(Mount(Path("/tmp"), target),)) for target in targets]  # noqa: S108
        for spec in bad:
            assert isinstance(await _failure(bench.engine.start(spec)), InputRefused), spec
        assert await bench.engine.all() == []


async def _failure(call: Awaitable[object]) -> ShaleError | None:
    try:
        await call
    except ShaleError as error:
        return error
    return None
