"""Published: orders that came as transactions: accepted on chain, begun once they are confirmed there, else let go.

What comes next follows from the books and the chain alone, so a daemon that was killed goes on where it was. That the
order is accepted once is the wallet's outbox and the contract's work: what the contract refuses is looked at again.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import dataclass, field

from shale.chain.chain import LeaseRecord, OrderStage
from shale.clock import wait_event
from shale.containers.engine import Container
from shale.errors import Closed, ConfigError, Refused, Unavailable
from shale.keeping import keep
from shale.market.lease import EndReason, LeaseState
from shale.provider.desk import LATE_SECONDS, Desk
from shale.provider.ledger_books import LedgerBooks
from shale.provider.lifecycle import Lifecycle, Progress
from shale.provider.store import Held
from shale.units import ZERO, LeaseId

log = logging.getLogger("shale.provider")

LOOK_SECONDS = 15.0
"""How often the chain is asked about an order that waits."""


@dataclass(slots=True)
class _Start:
    """A lease's start, and all who follow it: who comes later is told what was said before."""

    task: asyncio.Task[Container] | None = None
    said: list[tuple[str, str, str]] = field(default_factory=list)
    listeners: list[Progress] = field(default_factory=list)

    async def tell(self, step: str, state: str, detail: str) -> None:
        self.said.append((step, state, detail))
        for listener in self.listeners:
            await listener(step, state, detail)


class PublishedOrders:
    """Looks after each of them from its acceptance here to its start, or its end."""

    def __init__(self, desk: Desk, lifecycle: Lifecycle, books: LedgerBooks) -> None:
        self._desk = desk
        self._lifecycle = lifecycle
        self._books = books
        self._starts: dict[LeaseId, _Start] = {}
        self._tended: dict[LeaseId, asyncio.Task[None]] = {}
        self._past: set[LeaseId] = set()

    async def run(self) -> None:
        """Never returns. Each order has a task of its own: a transaction that waits for a block holds up no other."""
        desk = self._desk
        try:
            while True:
                desk.news.clear()
                for held in await desk.store.leases(LeaseState.ACCEPTED):
                    if held.published and held.id not in self._tended:
                        work = keep(f"order {held.id[:12]}", functools.partial(self._tend, held), desk.clock, log)
                        self._tended[held.id] = task = asyncio.create_task(work)
                        task.add_done_callback(functools.partial(self._tended_to_its_end, held.id))
                await wait_event(desk.clock, desk.news, None)
        finally:
            for task in list(self._tended.values()):
                task.cancel()

    def _tended_to_its_end(self, lease: LeaseId, _: asyncio.Task[None]) -> None:
        self._tended.pop(lease, None)
        self._past.discard(lease)

    async def _tend(self, held: Held) -> None:
        clock = self._desk.clock
        log.info("order %s: taken, until %d: now for the chain", held.id[:12], held.acceptance.deadline)
        while (await self._desk.store.lease(held.id)).lease.state is LeaseState.ACCEPTED:
            await self.look(held)
            await clock.sleep_until(clock.steady() + LOOK_SECONDS)

    async def look(self, held: Held) -> None:
        """Do what an accepted order needs now."""
        chain = self._desk.chain
        # In this order: a confirmation can be in no later block than those that the deadline lets in.
        past = (await chain.heads()).time > held.acceptance.deadline
        if await chain.lease(held.id) is not None:
            await self.begin(held.id, _unheard)
            return
        stage = await chain.order_stage(held.id)
        if past and held.id not in self._past:
            self._past.add(held.id)  # looked at once more: one of several nodes may be behind
        elif past or stage in (OrderStage.CANCELLED, OrderStage.ENDED):
            why = "was not confirmed in time" if past else "was cancelled by its client"
            log.info("order %s: it %s", held.id[:12], why)
            await self._lifecycle.end(held.id, EndReason.ANCHOR_FAILED)
        elif stage is OrderStage.CREATED:
            await self._accept(held)

    async def _accept(self, held: Held) -> None:
        try:
            receipt = await self._desk.chain.accept_order(held.order, held.acceptance)
        except Refused as error:
            # It is accepted by now, by a transaction of an earlier process, or its client took it back.
            log.info("order %s: not accepted on chain: %s", held.id[:12], error)
            return
        log.info("order %s: accepted on chain in %s", held.id[:12], receipt.tx)
        await self._books.post("accept", receipt, ZERO, self._desk.clock.now())

    async def ready(self, lease: LeaseId) -> None:
        """Raise what keeps a lease from being begun, or followed, now.

        Unavailable while the chain as we see it lacks the confirmation, Closed when it is over, or no published order.
        """
        held = await self._desk.store.lease(lease)
        if not held.published:
            raise Closed("this order was signed: its confirmation is, too", "sign a new order")
        if lease in self._starts or held.lease.state.lives:
            return
        if held.lease.state is not LeaseState.ACCEPTED:
            raise Closed(f"the order is {held.lease.state.value} already", "make a new order")
        record = await self._desk.chain.lease(lease)
        if record is None:
            raise Unavailable("the order's confirmation is not on the chain yet", "try again in a minute")
        if (reason := self._too_late(held, record)) is not EndReason.NONE:
            await self._lifecycle.end(lease, reason)
            raise Closed("the order has ended, or was confirmed too long ago", "make a new order")

    def _too_late(self, held: Held, record: LeaseRecord) -> EndReason:
        if record.ended_at or record.closed:
            return record.end_reason or EndReason.CLIENT_ENDED
        late = held.acceptance.deadline + LATE_SECONDS < self._desk.clock.now()
        return EndReason.START_FAILED if late else EndReason.NONE

    async def begin(self, lease: LeaseId, progress: Progress) -> Container:
        """Start a lease that the chain has, or come along with its start; returns when its shell answers.

        Raises as `ready` does, and what its start raises.
        """
        await self.ready(lease)
        start = self._starts.get(lease)
        if start is None:
            held = await self._desk.store.lease(lease)
            if held.lease.state.lives:
                return await self._desk.engine.find(lease)
            start = self._starts.setdefault(lease, _Start())
        for said in list(start.said):
            await progress(*said)
        start.listeners.append(progress)
        if start.task is None:
            start.task = asyncio.create_task(self._start(lease, start))
            start.task.add_done_callback(_seen)
        # It goes on by itself: who hangs up meanwhile can't leave half a lease behind.
        return await asyncio.shield(start.task)

    async def _start(self, lease: LeaseId, start: _Start) -> Container:
        try:
            try:
                host_key = self._desk.keys.host_key(lease)
            except ConfigError:
                await self._lifecycle.end(lease, EndReason.START_FAILED)
                raise
            held = await self._desk.store.confirmed_on_chain(lease)
            return await self._lifecycle.start(held, host_key, start.tell)
        finally:
            self._starts.pop(lease, None)


def _seen(task: asyncio.Task[Container]) -> None:
    """Whoever follows it learns why it failed; that nobody does is no fault."""
    if not task.cancelled():
        task.exception()


async def _unheard(_step: str, _state: str, _detail: str) -> None: ...
