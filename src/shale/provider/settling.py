"""Settling: decides when leases are settled: once enough have ended, or one has waited enough, at a bearable fee."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from shale.clock import Clock, wait_event
from shale.errors import ShaleError
from shale.keeping import Trouble
from shale.payments.batch import SIZES
from shale.units import ZERO, AttoFil

log = logging.getLogger("shale.provider")

REDEEM_SECONDS = 6 * 3600.0
"""The longest that a running lease's vouchers wait: what is redeemed is safe from whatever becomes of these books."""
PATIENCE_SECONDS = 6 * 3600.0
"""The longest that a dear chain puts a settlement off: a day after an End on chain anyone may close a lease."""
RETRY_SECONDS = 60.0
"""How soon a settlement that failed is tried again, and a fee that was too high is looked at again."""
FIRST_GAS = 2_500_000_000
GAS_OF_A_LEASE = 8_000_000
"""What a batch takes of Filecoin's gas, and each of its leases: estimated (docs/benchmarks.md), and a quarter over."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The provider's settings: an ended lease waits `max_wait` seconds at most, and not at all once there are
    `min_leases`; while a batch's fee is above `max_fee` it waits on (zero: no such limit), and so do running leases
    that are to be redeemed."""

    max_wait: float = 600.0
    min_leases: int = 8
    max_fee: AttoFil = ZERO


@dataclass(frozen=True, slots=True)
class Waiting:
    """When the leases that wait for their settlement ended (Unix seconds), how many run on, and the last batch's gas
    (0 before the first)."""

    ended: tuple[int, ...] = ()
    last_gas: int = 0
    running: int = 0

    def gas(self, redeem: bool) -> int:
        """What the next batch takes: as the last one, or by its leases, at most as many as one batch can have."""
        leases = len(self.ended) + (self.running if redeem else 0)
        return self.last_gas or FIRST_GAS + GAS_OF_A_LEASE * min(leases, max(SIZES))


@dataclass(frozen=True, slots=True)
class Stage:
    """What a settlement is doing: `done` of a proof's `part` is in thousandths."""

    name: str = "idle"
    size: int = 0
    leases: int = 0
    part: str = ""
    done: int = 0

    def to_json(self) -> dict[str, Any]:
        raw: dict[str, Any] = {"stage": self.name}
        if self.leases:
            raw |= {"size": self.size, "leases": self.leases}
        return raw | ({"part": self.part, "done": self.done / 1000} if self.part else {})


@dataclass(frozen=True, slots=True)
class Decision:
    """Settle now, or look again in so many seconds; and why."""

    now: bool
    wait: float
    why: str


def decide(rules: Rules, ended: tuple[int, ...], now: int, fee: AttoFil) -> Decision:
    """When leases that ended at these times are settled, at an expected fee."""
    if not ended:
        return Decision(False, REDEEM_SECONDS, "nothing has ended")
    age = now - min(ended)
    full = len(ended) >= rules.min_leases
    if not full and age < rules.max_wait:
        return Decision(False, rules.max_wait - age, f"{len(ended)} ended, waiting for company")
    if rules.max_fee and fee > rules.max_fee and age < PATIENCE_SECONDS:
        return Decision(False, RETRY_SECONDS, f"a batch costs about {fee}, over settle.max_fee = {rules.max_fee}")
    return Decision(True, 0.0, f"{len(ended)} ended" if full else "one has waited long enough")


class Settles(Protocol):
    """What the service has of a settlement."""

    async def run(self, redeem: bool = True, fee: AttoFil = ZERO) -> object: ...

    async def waiting(self) -> Waiting: ...


@dataclass(slots=True)
class Service:
    """Settles by itself. `ended` is set whenever a lease ends; `gas_price` asks the chain."""

    settlement: Settles
    rules: Rules
    clock: Clock
    gas_price: Callable[[], Awaitable[AttoFil]]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    last: Decision = Decision(False, 0.0, "")
    trouble: str = ""
    _tried: int = 0
    _redeemed: float = 0.0
    _failing: Trouble = field(init=False)

    def __post_init__(self) -> None:
        self._failing = Trouble("settlement", self.clock, log)

    async def run(self) -> None:
        """Until it is cancelled. What fails is tried again, and told by `trouble`."""
        self._redeemed = self.clock.steady()
        while True:
            wait = await self._round()
            if wait:
                await wait_event(self.clock, self.ended, wait)
            self.ended.clear()

    async def _round(self) -> float:
        """Settle if it is time to. Returns after how many seconds to look again, at the latest."""
        try:
            waiting = await self.settlement.waiting()
            self.last = await self._decide(waiting)
            left = self._redeemed + REDEEM_SECONDS - self.clock.steady()
            fee = await self.gas_price() * waiting.gas(redeem=True) if left <= 0 else ZERO
            dear = bool(self.rules.max_fee) and fee > self.rules.max_fee and -left < PATIENCE_SECONDS
            redeem = left <= 0 and not dear
            if not self.last.now and not redeem:
                return min(self.last.wait, RETRY_SECONDS if dear else left)
            began = self.clock.now()
            await self.settlement.run(redeem, fee)
        except Exception as error:  # noqa: BLE001 - what was earned is redeemed in time, whatever fails
            self._failing.note(error)
            self.trouble = str(error) if isinstance(error, ShaleError) else "the daemon failed: see its log"
            await self.clock.sleep_until(self.clock.steady() + RETRY_SECONDS)
            return 0.0
        self._failing.over()
        self.trouble, self._tried = "", began
        if redeem:
            self._redeemed = self.clock.steady()
        return 0.0

    async def _decide(self, waiting: Waiting) -> Decision:
        """Leases that a settlement has passed over (not yet on chain, say) wait as long again from then on."""
        fee = ZERO
        if self.rules.max_fee and waiting.ended:
            fee = await self.gas_price() * waiting.gas(redeem=False)
        fresh = tuple(at for at in waiting.ended if at > self._tried)
        left = self._tried + self.rules.max_wait - self.clock.now()
        if waiting.ended and not fresh and left > 0:
            return Decision(False, left, f"{len(waiting.ended)} could not be settled yet")
        return decide(self.rules, fresh or waiting.ended, self.clock.now(), fee)
