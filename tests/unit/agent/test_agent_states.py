"""Both sides of a lease through any course of breaks, restarts, sick probes and time: the money always adds up."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.counterparts import GRACE, PRICE, SIGNING, TICK, Both, new_lease

from shale.client.agent.payer import GRACE_SECONDS, TOLERANCE_SECONDS
from shale.errors import VoucherRefused
from shale.market.lease import EndReason
from shale.market.order import End
from shale.quality.verdict import Status
from shale.units import ZERO

ROUNDING = 0.01


class LeaseMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(prefix="shale-test-")
        self.paid = ZERO

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.both: Both = self.run(new_lease(Path(self.folder.name)))
        self.run(self.both.start_provider())
        self.run(self._with(self.both.start_agent))

    async def _with(self, act: Any) -> None:
        """Do it inside the loop, and let it take its course."""
        act()
        await self.both.clock.settle()

    @rule(seconds=st.one_of(st.floats(0.1, 12), st.sampled_from([5.0, 15.0, 61.0, 320.0])))
    def time_passes(self, seconds: float) -> None:
        self.run(self.both.clock.advance(seconds))

    @rule()
    def the_tunnel_breaks(self) -> None:
        self.run(self._with(self.both.cut))

    @rule()
    def the_network_goes_down(self) -> None:
        self.both.reachable = False
        self.run(self._with(self.both.cut))

    @rule()
    def the_network_comes_back(self) -> None:
        self.both.reachable = True

    @precondition(lambda self: "session" in self.both.tasks)
    @rule()
    def the_agent_dies(self) -> None:
        self.run(self.both.stop_agent())

    @precondition(lambda self: "session" not in self.both.tasks and not self.both.rental.ended)
    @rule()
    def the_agent_starts(self) -> None:
        self.run(self._with(self.both.start_agent))

    @precondition(lambda self: "meter" in self.both.tasks and not self.both.finals)
    @rule()
    def the_provider_dies(self) -> None:
        self.run(self.both.stop_provider())

    @precondition(lambda self: "meter" not in self.both.tasks)
    @rule()
    def the_provider_starts(self) -> None:
        self.run(self.both.start_provider())
        self.run(self.both.clock.settle())

    @precondition(lambda self: "meter" in self.both.tasks)
    @rule(tick=st.integers(0, 40), forged=st.booleans())
    def somebody_replays_a_voucher(self, tick: int, forged: bool) -> None:
        """Any that was ever signed, or one by a key that isn't the lease's."""
        self.run(self._replay(min(tick * TICK, self.both.rental.seconds), forged))

    async def _replay(self, seconds: int, forged: bool) -> None:
        stranger = {"secret": await self.both.prover.keygen()} if forged else {}
        voucher = await self.both.voucher(seconds, **stranger)
        with suppress(VoucherRefused):
            await self.both.meter.pay(voucher)
        await self.both.clock.settle()

    @rule(status=st.sampled_from([Status.OK, Status.OK, Status.FAIL]))
    def the_container_changes_health(self, status: Status) -> None:
        self.both.probe.status = status

    @invariant()
    def the_money_adds_up(self) -> None:
        if not hasattr(self, "both"):
            return
        both, rental = self.both, self.both.rental
        kept = self.run(both.kept())
        elapsed = both.clock.now() + 1 - rental.created_at
        assert kept.lease.paid == PRICE.over(kept.lease.seconds)
        assert kept.lease.paid <= rental.paid <= rental.collateral
        assert rental.paid.value <= PRICE.per_second.value * (elapsed + TICK + TOLERANCE_SECONDS)
        assert both.meter.served <= kept.lease.seconds + GRACE + ROUNDING
        assert self.paid <= kept.lease.paid
        self.paid = kept.lease.paid

    @invariant()
    def the_client_pays_for_no_more_than_was_served(self) -> None:
        """Beyond the tick that begins: what a break may cost at most, by the grace and the tolerance."""
        if hasattr(self, "both"):
            ahead = TICK + GRACE_SECONDS + TOLERANCE_SECONDS
            assert self.both.rental.seconds <= self.both.meter.served + ahead + ROUNDING

    def teardown(self) -> None:
        try:
            if hasattr(self, "both"):
                self.run(self._finish())
        finally:
            self.runner.close()
            self.folder.cleanup()

    async def _finish(self) -> None:
        """With everybody back and well, the client ends it, and both have the same reason."""
        both = self.both
        both.reachable = True
        if "meter" not in both.tasks:
            await both.start_provider()
        if "session" not in both.tasks and not both.rental.ended:
            both.start_agent()
        await both.clock.advance(11)
        rental = both.rental
        if not rental.ended:
            end = End(rental.order_hash, rental.paid, rental.seconds, EndReason.CLIENT_ENDED, both.clock.now())
            ending = asyncio.create_task(both.session.end(end, SIGNING.sign(end, both.client)))
            await both.clock.advance(11)
            assert (await ending).amount == (await both.kept()).lease.paid
        kept = await both.kept()
        assert both.rental.end_reason is kept.lease.end_reason is not EndReason.NONE
        await both.close()


TestLeaseMachine = LeaseMachine.TestCase
TestLeaseMachine.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
