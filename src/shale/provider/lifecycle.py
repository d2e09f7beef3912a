"""Lifecycle: a lease from its confirmation to its end on this machine, and its recovery after a restart."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shale.chain.chain import Chain, Opening
from shale.containers.engine import Container, ContainerSpec, ContainerState, Engine
from shale.datasets.reach import servers_of
from shale.errors import Closed, Refused, ShaleError, Unavailable
from shale.keeping import keep
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.payments.meter import Terms
from shale.provider.anchoring import Anchoring
from shale.provider.config import ProviderConfig
from shale.provider.identity import SshKey
from shale.provider.lease_keys import LeaseKeys
from shale.provider.lease_volumes import LeaseVolumes
from shale.provider.metering import LeaseMeter, MeterParts
from shale.provider.shelf import Shelf
from shale.provider.store import Held, Store
from shale.provider.waiting import waiting
from shale.tunnel.gateway import Gateway, Grant
from shale.tunnel.link import Link
from shale.tunnel.messages import Notice
from shale.tunnel.meters import MeterSockets
from shale.units import Cid, LeaseId

log = logging.getLogger("shale.provider")

Progress = Callable[[str, str, str], Awaitable[None]]
"""Called with a step's name, its state (started, done) and a detail."""

_RETRY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class LifecycleParts:
    """What the lifecycle needs of the daemon."""

    config: ProviderConfig
    store: Store
    shelf: Shelf
    engine: Engine
    volumes: LeaseVolumes
    chain: Chain
    anchoring: Anchoring
    gateway: Gateway
    sockets: MeterSockets
    meter: MeterParts
    keys: LeaseKeys
    guest: Path
    gpu_ids: tuple[str, ...]


class Lifecycle:
    """Holds the living leases: their meters, their watchers and their grants at the gateway."""

    def __init__(self, parts: LifecycleParts) -> None:
        self._parts = parts
        self._meters: dict[LeaseId, LeaseMeter] = {}
        self._grants: dict[LeaseId, Grant] = {}
        self._gpus: dict[LeaseId, tuple[str, ...]] = {}
        self._tasks: dict[LeaseId, list[asyncio.Task[None]]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._connections: dict[LeaseId, set[int]] = {}
        self._ending: dict[LeaseId, asyncio.Lock] = {}
        self.on_ended: Callable[[], None] = lambda: None

    def meter(self, lease: LeaseId) -> LeaseMeter:
        """The meter of a living lease, or Closed."""
        if lease not in self._meters:
            raise Closed("the lease doesn't run", "see shale ps")
        return self._meters[lease]

    @property
    def gateway_address(self) -> tuple[str, int, str]:
        """Host, port and login name of the gateway, as clients see them."""
        config = self._parts.config
        return config.public_host, config.gateway_port, self._parts.gateway.user

    @property
    def meters(self) -> list[LeaseMeter]:
        """Those of the living leases."""
        return list(self._meters.values())

    def lengthen(self, lease: LeaseId, max_seconds: int, sure: int) -> None:
        """A living lease's deposit has been raised: it may run for so many seconds in all, `sure` of them are final."""
        if lease in self._meters:
            self._meters[lease].lengthen(max_seconds, sure)

    def living(self) -> list[LeaseId]:
        """The leases that are metered now."""
        return list(self._meters)

    async def start(self, held: Held, host_key: SshKey, progress: Progress) -> Container:
        """Bring the lease's container up; on failure nothing is left and the lease is ended.

        Returns when the shell answers. Only then is the lease anchored, so that a failed start locks nobody's money,
        and beside the running lease: until the chain has it the provider risks no more than the ticks that pass
        meanwhile; if the chain refuses it, the lease ends with `anchor_failed`.
        """
        try:
            container = await self._raise_container(held, host_key, progress)
            held = await self._parts.store.running(held.id, self._parts.meter.clock.now())
            await progress("gateway", "started", "")
            await self._attend(held, container)
            await progress("gateway", "done", f"{self._parts.gateway.user}@{self._parts.config.public_host}")
        except BaseException as error:
            log.warning("lease %s: start failed: %s", held.id[:12], error)
            await asyncio.shield(self._abandon(held))
            raise
        self._spawn(f"lease {held.id[:12]}: anchoring", lambda: self._anchor(held))
        return container

    async def _abandon(self, held: Held) -> None:
        """End a lease whose start failed. What can't be done at once goes on, but without its container."""
        try:
            await self.end(held.id, EndReason.START_FAILED)
        except Exception as error:  # noqa: BLE001 - whoever began the start learns why it failed, not this
            log.error("lease %s: not ended yet: %s", held.id[:12], error)
            await self._remove(held)
            self._spawn(f"lease {held.id[:12]}: ending", lambda: self.end(held.id, EndReason.START_FAILED))

    async def _raise_container(self, held: Held, host_key: SshKey, progress: Progress) -> Container:
        if held.order.dataset:
            await progress("dataset", "started", held.order.dataset)
            item = await self._parts.shelf.find(held.order.dataset)
            sources = item.holding.sources

            def told(line: dict[str, Any]) -> None:
                waits = f"waiting for {line['waiting']}, {line['seconds']} s"
                self._spawn("telling of a start", lambda: progress("dataset", "started", waits))

            async with waiting(servers_of(sources) or "the disk", told, self._parts.meter.clock):
                await self._parts.volumes.hold(held.id, item.holding)
            await progress("dataset", "done", f"{item.listing.name} at {held.mount}")
        await progress("container", "started", held.order.image)
        container = await self._parts.engine.start(self._spec(held, host_key))
        await progress("container", "done", f"{container.address}:{container.port}")
        return container

    def _spec(self, held: Held, host_key: SshKey) -> ContainerSpec:
        keys = self._parts.keys.keep(held.id, host_key, held.order.ssh_key)
        taken = {gpu for ids in self._gpus.values() for gpu in ids}
        free = [gpu for gpu in self._parts.gpu_ids if gpu not in taken]
        gpus = tuple(free[: held.order.resources.gpus])
        if len(gpus) < held.order.resources.gpus:
            raise Refused("the GPUs are taken", "choose another provider")
        self._gpus[held.id] = gpus
        return ContainerSpec(
            lease=held.id,
            name=f"shale-{held.id[2:10]}",
            image=held.order.image,
            resources=held.order.resources,
            guest=self._parts.guest,
            keys=keys,
            volumes=self._parts.volumes.of(held),
            gpus=gpus,
        )

    async def _anchor(self, held: Held) -> None:
        """Write the three signatures to the chain; a node that doesn't answer is asked again until the deadline.

        A refusal, or the deadline, ends the lease: its money was never locked. A published order is its client's to
        confirm, again if a fork took that out: it is waited for as long.
        """
        clock, until = self._parts.meter.clock, held.acceptance.deadline
        if held.confirmation is not None:
            until = min(until, held.confirmation.deadline, held.order.deadline)
        while not held.anchor_tx:
            try:
                if await self._parts.chain.lease(held.id) is not None:
                    return await self._parts.store.set_anchor(held.id, "known")
                if held.confirmation is None:
                    raise Unavailable("its client's confirmation is in no block")
                receipt = await self._parts.anchoring.open(
                    Opening(
                        held.order,
                        held.order_signature,
                        held.acceptance,
                        held.acceptance_signature,
                        held.confirmation,
                        held.confirmation_signature,
                    )
                )
                return await self._parts.store.set_anchor(held.id, receipt.tx)
            except Unavailable as error:
                log.warning("lease %s: not anchored yet: %s", held.id[:12], error)
                if clock.now() < until:
                    await clock.sleep_until(clock.steady() + _RETRY_SECONDS)
                    continue
            except ShaleError as error:
                if await self._is_on_chain(held.id):
                    continue  # an earlier transaction of ours was faster
                log.warning("lease %s: the chain refused it: %s", held.id[:12], error)
            await self._finish(held.id, EndReason.ANCHOR_FAILED)
            return None
        return None

    async def _is_on_chain(self, lease: LeaseId) -> bool:
        with suppress(Unavailable):
            return await self._parts.chain.lease(lease) is not None
        return False

    async def lost(self, lease: LeaseId) -> None:
        """The chain has no record of a living lease: if it had one, it is anchored again.

        While the deadlines of its signatures allow that; after them the lease ends: its money is not locked.
        """
        held = await self._parts.store.lease(lease)
        if not held.anchor_tx:
            return  # its anchoring is on its way
        log.warning("lease %s: the chain has lost its anchor %s: anchoring it again", lease[:12], held.anchor_tx)
        await self._parts.store.set_anchor(lease, "")
        self._spawn(f"lease {lease[:12]}: anchoring again", lambda: self._anchor(replace(held, anchor_tx="")))

    async def _attend(self, held: Held, container: Container) -> None:
        """Meter the lease, watch its container, and let its client in."""
        terms = Terms(
            held.order.price,
            held.order.tick_seconds,
            held.max_seconds,
            self._parts.config.grace_seconds,
            self._parts.config.patience_seconds,
        )

        async def on_end(reason: EndReason) -> End:
            return await self.end(held.id, reason)

        meter = LeaseMeter(held, terms, self._parts.meter, on_end)
        self._meters[held.id] = meter
        socket = await self._parts.sockets.open(held.id, functools.partial(self._joined, meter))
        self._grants[held.id] = Grant(held.order.gateway_key, socket, container.address, container.port)
        self._parts.gateway.allow(self._grants.values())
        frozen = container.state is ContainerState.PAUSED
        self._tasks[held.id] = [
            self._spawn(f"lease {held.id[:12]}: metering", lambda: meter.run(frozen)),
            self._spawn(f"lease {held.id[:12]}: watching its container", lambda: self._watch(held.id)),
        ]

    async def _joined(self, meter: LeaseMeter, link: Link, pid: int) -> None:
        """A connection of the lease's client: remembered, so that the lease's end can cut it."""
        connection = self._parts.gateway.connection_of(pid)
        if connection is not None:
            self._connections.setdefault(meter.lease, set()).add(connection)
        await meter.serve(link)

    async def _watch(self, lease: LeaseId) -> None:
        """End the lease when its container exits by itself."""
        try:
            code = await self._parts.engine.wait_exit(lease)
        except ShaleError as error:
            log.warning("lease %s: lost sight of the container: %s", lease[:12], error)
            code = -1
        if lease in self._meters:
            log.warning("lease %s: the container exited with %d", lease[:12], code)
            await self._finish(lease, EndReason.HOST_FAILURE)

    async def tell(self, root: Cid, notice: Notice) -> None:
        """Tell the clients of every living lease that has this dataset, now or when they are back."""
        for lease in await self._parts.volumes.leases(root):
            if lease in self._meters:
                await self._meters[lease].tell(notice)

    def _spawn(self, name: str, work: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(keep(name, work, self._parts.meter.clock, log))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _finish(self, lease: LeaseId, reason: EndReason) -> None:
        """End a lease for which nobody waits. Its meter does it, which freezes the container if that takes a while."""
        if lease in self._meters:
            self._meters[lease].stop(reason)
        else:
            await self.end(lease, reason)

    async def end(self, lease: LeaseId, reason: EndReason) -> End:
        """End a lease, remove all that it had here, and give the final state; ending it again gives the same."""
        async with self._ending.setdefault(lease, asyncio.Lock()):
            news = (await self._parts.store.lease(lease)).lease.state.holds_stock
            held = await self._parts.store.end(lease, reason, self._parts.meter.clock.now())
            final = held.final
            assert final is not None, "it has just been ended"
            meter = self._meters.pop(lease, None)
            if meter is not None:
                await meter.close(final)
            connections = self._connections.pop(lease, set())
            self._spawn(f"lease {lease[:12]}: hanging up", lambda: self._parts.gateway.cut(connections))
            await self._clear(held)
            if news:
                log.info("lease %s: ended: %s", lease[:12], held.lease.end_reason.text)
        self._ending.pop(lease, None)
        self.on_ended()
        return final

    async def _clear(self, held: Held) -> None:
        """Remove what a lease has on this machine; each part is tried even if another fails."""
        current = asyncio.current_task()
        for task in self._tasks.pop(held.id, []):
            if task is not current:
                task.cancel()
        if self._grants.pop(held.id, None) is not None:
            await self._surely(held, "closing the gateway", self._allow)
        await self._surely(held, "closing its socket", lambda: self._parts.sockets.close(held.id))
        await self._remove(held)
        self._gpus.pop(held.id, None)
        self._parts.keys.remove(held.id)

    async def _remove(self, held: Held) -> None:
        """Its container and its mount: they are gone when this returns, or it goes on trying."""
        names = [volume.name for volume in self._parts.volumes.of(held)]
        await self._surely(held, "removing its container", lambda: self._parts.engine.remove(held.id, names))
        await self._surely(held, "releasing its dataset", lambda: self._parts.volumes.release(held.id))

    async def _allow(self) -> None:
        self._parts.gateway.allow(self._grants.values())

    async def _surely(self, held: Held, what: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do it now; if it fails, go on trying beside what comes next."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the next part is cleared all the same
            log.error("lease %s: %s: %s", held.id[:12], what, error)
            self._spawn(f"lease {held.id[:12]}: {what}", work)

    async def recover(self) -> None:
        """Take up the leases that live in the books, end those that can't go on, remove what belongs to none."""
        for held in await self._parts.store.leases(LeaseState.STARTING):
            await self.end(held.id, EndReason.START_FAILED)
        mounted = await self._parts.volumes.leases()
        for held in await self._parts.store.leases(LeaseState.RUNNING, LeaseState.FROZEN):
            try:
                container = await self._parts.engine.find(held.id)
                if container.state is ContainerState.EXITED:
                    raise Closed("the container has exited")
                if held.order.dataset and held.id not in mounted:
                    raise Closed("the dataset's mount is gone")
            except Closed as error:
                log.warning("lease %s: not taken up: %s", held.id[:12], error.message)
                await self.end(held.id, EndReason.HOST_FAILURE)
                continue
            await self._attend(held, container)
            self._spawn(f"lease {held.id[:12]}: catching up with the chain", functools.partial(self._catch_up, held))
            log.info("lease %s: taken up again", held.id[:12])
        living = set(self._meters)
        for container in await self._parts.engine.all():
            if container.lease not in living:
                await self._parts.engine.remove(container.lease)
        await self._parts.volumes.release_all_but(living)
        await self._parts.volumes.release_unused()
        self._parts.gateway.allow(self._grants.values())

    async def _catch_up(self, held: Held) -> None:
        """Anchor what the chain doesn't have yet, and end what the client has ended there while we were away."""
        await self._anchor(held)
        record = await self._parts.chain.lease(held.id)
        if record is not None and record.ended_at:
            await self._finish(held.id, record.end_reason)

    async def rest(self) -> None:
        """Stop metering for the daemon's own stop: containers, mounts and the gateway live on for its next start."""
        for lease, meter in list(self._meters.items()):
            try:
                await self._parts.store.set_served(lease, meter.served)
            except ShaleError as error:
                log.error("lease %s: %s", lease[:12], error)
            await meter.close(None)
        self._meters.clear()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._parts.anchoring.close()
        await self._parts.sockets.close_all()
