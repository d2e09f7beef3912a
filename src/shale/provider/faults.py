"""Faults: what a mount finds wrong while leases read it: logged, counted, told to clients, no longer offered."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import CollectorRegistry, Counter

from shale.clock import Clock
from shale.datasets.volumes import Fault
from shale.errors import ShaleError, Unavailable
from shale.keeping import Trouble
from shale.market.lease import EndReason
from shale.provider.lease_volumes import leases_among
from shale.provider.lifecycle import Lifecycle
from shale.provider.shelf import Shelf
from shale.tunnel.messages import Notice
from shale.units import Cid

log = logging.getLogger("shale.provider")

PER_MINUTE = 6
"""Faults of a copy of a dataset that are logged and told, those of bad blocks and the vaguer ones each.

A broken disk has millions, and each says the same.
"""
RETRY_SECONDS = 5.0
"""How soon a fault that couldn't be worked off, because the books or the engine don't answer, is taken up again."""
_KINDS = ("missing", "corrupt", "unreadable", "changed", "index", "gone")

Doubt = Callable[[Cid, Sequence[str], str], Awaitable[None]]
"""Told of a dataset, the sources of the copy, and why its index couldn't be used."""


async def _no_doubt(root: Cid, sources: Sequence[str], why: str) -> None:
    return


class Faults:
    """Takes faults as they come (`report`) and works them off, one after the other (`run`)."""

    def __init__(
        self,
        shelf: Shelf,
        lifecycle: Lifecycle,
        clock: Clock,
        metrics: CollectorRegistry,
        doubt: Doubt = _no_doubt,
    ) -> None:
        self._doubt = doubt
        self._shelf = shelf
        self._lifecycle = lifecycle
        self._clock = clock
        self._waiting: asyncio.Queue[Fault] = asyncio.Queue()
        self._told: dict[tuple[Cid, tuple[str, ...], bool], deque[float]] = {}
        self._count = Counter(
            "shale_dataset_faults", "Reads of mounted datasets that failed, by kind", ["kind"], registry=metrics
        )

    def report(self, fault: Fault) -> None:
        """Never blocks; of a dataset with very many faults most are only counted."""
        self._count.labels(fault.kind if fault.kind in _KINDS else "other").inc()
        if fault.kind == "gone" or self._is_new(fault):
            self._waiting.put_nowait(fault)

    async def run(self) -> None:
        while True:
            fault = await self._waiting.get()
            more = f" ({fault.message})" if fault.message not in str(fault) else ""
            log.error("dataset %s: %s%s", fault.root, fault, more)
            try:
                await self._work_off_surely(fault)
            finally:
                self._waiting.task_done()

    async def settled(self) -> None:
        """Return when all that was reported is worked off."""
        await self._waiting.join()

    def _is_new(self, fault: Fault) -> bool:
        now = self._clock.steady()
        # Apart, so that many vague ones don't hide the one that says where the dataset is bad.
        told = self._told.setdefault((fault.root, fault.sources, fault.is_precise), deque(maxlen=PER_MINUTE))
        if len(told) == PER_MINUTE and now - told[0] < 60:
            return False
        told.append(now)
        return True

    async def _work_off_surely(self, fault: Fault) -> None:
        """Never given up while something only doesn't answer: the dataset would stay offered, or a lease without it."""
        trouble = Trouble(f"a fault of dataset {fault.root}", self._clock, log)
        while True:
            try:
                return await self._work_off(fault)
            except Unavailable as error:
                trouble.note(error)
                await self._clock.sleep_until(self._clock.steady() + RETRY_SECONDS)
            except ShaleError as error:
                return trouble.note(error)

    async def _work_off(self, fault: Fault) -> None:
        if fault.kind == "index":  # readers get what they should; what is missing is the proof of it
            await self._doubt(fault.root, fault.sources, fault.message)
            return
        notice = Notice("dataset", str(fault))
        if fault.kind != "gone":
            await self._shelf.report_fault(
                fault.root, str(fault), self._clock.now(), sources=fault.sources, precise=fault.is_precise
            )
            await self._lifecycle.tell(fault.root, notice)
            return
        # What was bound into their containers fails for good; a mount made anew would not reach them.
        for lease in leases_among(fault.holders):
            if lease in self._lifecycle.living():
                log.warning("lease %s: its dataset's mount has died", lease[:12])
                await self._lifecycle.end(lease, EndReason.HOST_FAILURE)
