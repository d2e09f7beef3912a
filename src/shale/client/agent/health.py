"""Health: runs a lease's probes in turn, and says whether their verdicts withhold the next voucher."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from shale.clock import Clock, wait_event
from shale.keeping import keep
from shale.quality.hookspecs import Probe, Session
from shale.quality.loader import run_probe
from shale.quality.probation import Probation
from shale.quality.verdict import Policy, Standing, Verdict

log = logging.getLogger("shale.agent")


@dataclass(frozen=True, slots=True)
class Withheld:
    """The verdict that withholds a voucher, and the seconds until one is tried all the same; `fresh` the first time."""

    verdict: Verdict
    seconds: float
    fresh: bool

    def __str__(self) -> str:
        return f"{self.verdict.probe}: {self.verdict.detail}"[:400]


class Health:
    """`judging` says whether the session can be judged now; `changed` is called after each verdict."""

    def __init__(
        self,
        session: Session,
        probes: tuple[Probe, ...],
        policy: Policy,
        clock: Clock,
        judging: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        self._session = session
        self._probes = probes
        self._policy = policy
        self._clock = clock
        self._judging = judging
        self._changed = changed
        self._standing = Standing()
        self._probation = Probation()
        self._look = asyncio.Event()

    @property
    def worst(self) -> Verdict | None:
        return self._standing.worst

    async def run(self) -> None:
        """Run all probes, each at its own pace, until cancelled."""
        await asyncio.gather(*(self._keep(probe) for probe in self._probes))

    async def _keep(self, probe: Probe) -> None:
        await keep(f"probe {probe.name}", lambda: self._run(probe), self._clock, log)

    async def _run(self, probe: Probe) -> None:
        while True:
            look = self._look
            if self._judging():
                verdict = await run_probe(probe, self._session, self._clock)
                # A freeze or a broken tunnel in the middle of the run is not the container's fault.
                if self._judging():
                    self._standing = self._standing.after(verdict)
                    self._changed()
            await wait_event(self._clock, look, probe.interval)

    def look_again(self) -> None:
        """Let every probe run at once: what was wrong may be over."""
        self._look.set()
        self._look = asyncio.Event()

    def withheld(self) -> Withheld | None:
        """Whether the next voucher is withheld; None in spite of a bad verdict is probation's one try."""
        now = self._clock.steady()
        verdict = self._standing.withheld(self._policy)
        if verdict is None:
            self._probation = Probation()
            return None
        fresh = self._probation.next_at is None
        self._probation = self._probation.withheld(now)
        seconds = self._probation.waiting(now)
        if seconds:
            return Withheld(verdict, seconds, fresh)
        self._probation = self._probation.tried(now)
        return None
