"""A client's session against a provider's meter, both as they ship, under a clock moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.counterparts import GRACE, MAX_SECONDS, PATIENCE, PRICE, SIGNING, TICK, Both, new_lease

from shale.errors import InputRefused, Refused, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.quality.verdict import Status
from shale.tunnel.messages import Notice


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    """A lease whose two sides run and have met."""
    lease = await new_lease(tmp_path)
    await lease.start_provider()
    lease.start_agent()
    await lease.clock.settle()
    yield lease
    await lease.close()


class TestPaying:
    async def test_the_first_voucher_buys_the_first_tick(self, both: Both) -> None:
        kept = await both.kept()
        assert (kept.lease.paid, kept.lease.seconds) == (PRICE.over(5), 5)
        assert both.rental.paid == PRICE.over(5)

    async def test_each_tick_is_paid_when_it_begins(self, both: Both) -> None:
        await both.clock.advance(23)
        assert [voucher.seconds for voucher in both.vouchers()] == [5, 10, 15, 20, 25]
        assert (await both.kept()).lease.paid == PRICE.over(25)
        assert both.session.view.note == ""

    async def test_the_view_tells_time_money_and_use(self, both: Both) -> None:
        await both.clock.advance(12)
        view = both.session.view
        assert (view.elapsed_seconds, view.paid, view.seconds, view.tick) == (12, PRICE.over(15), 15, 3)
        assert (view.state, view.connected, view.end_reason) == ("running", True, "none")
        assert view.verdict is not None
        assert view.verdict.status is Status.OK

    async def test_the_lease_ends_by_itself_when_the_collateral_is_spent(self, both: Both) -> None:
        await both.clock.advance(MAX_SECONDS + 1)
        assert both.rental.end_reason is EndReason.COLLATERAL_SPENT
        assert both.rental.paid == both.order.collateral == (await both.kept()).lease.paid
        assert both.tasks["session"].done()


class TestTopUp:
    async def test_spending_goes_on_past_the_first_deposit_without_a_pause(self, both: Both) -> None:
        await both.clock.advance(MAX_SECONDS - 20)
        await both.chain.top_up(both.order, 100)
        both.books.set_extra_seconds(both.held.id, 100)
        await both.session.lengthen()
        both.meter.lengthen(MAX_SECONDS + 100)
        await both.clock.advance(60)
        assert both.rental.paid > both.order.collateral
        assert both.rental.paid == (await both.kept()).lease.paid
        assert both.session.view.collateral == PRICE.over(MAX_SECONDS + 100)
        await both.clock.advance(100)
        assert both.rental.end_reason is EndReason.COLLATERAL_SPENT
        assert both.rental.paid == PRICE.over(MAX_SECONDS + 100)

    async def test_a_provider_that_nobody_told_looks_before_it_ends_the_lease(self, both: Both) -> None:
        """The client's own side knows of the top-up; the provider reads the chain when the deposit seems spent."""
        await both.clock.advance(MAX_SECONDS - 20)
        await both.chain.top_up(both.order, 50)
        both.books.set_extra_seconds(both.held.id, 50)
        await both.session.lengthen()
        await both.clock.advance(40)
        assert not both.rental.ended
        assert (await both.kept()).max_seconds == MAX_SECONDS + 50

    async def test_a_client_that_topped_nothing_up_pays_no_more_than_it_ordered(self, both: Both) -> None:
        await both.clock.advance(MAX_SECONDS - 20)
        both.meter.lengthen(MAX_SECONDS + 100)
        await both.clock.advance(60)
        assert both.rental.paid <= both.order.collateral
        assert "more time than was ordered" in both.session.view.note


class TestAway:
    async def test_a_client_that_vanishes_is_frozen_after_the_grace_and_thawed_when_it_pays(self, both: Both) -> None:
        await both.clock.advance(2)
        await both.stop_agent()
        await both.clock.advance(TICK - 2 + GRACE)
        assert both.frozen
        assert (await both.kept()).lease.state is LeaseState.FROZEN
        await both.clock.advance(60)
        both.start_agent()
        await both.clock.settle()
        assert not both.frozen
        assert (await both.kept()).lease.state is both.rental.state is LeaseState.RUNNING

    async def test_frozen_time_is_never_paid(self, both: Both) -> None:
        both.reachable = False
        both.cut()
        await both.clock.advance(120)
        assert both.frozen
        both.reachable = True
        await both.clock.advance(10)
        assert not both.frozen
        assert both.rental.seconds <= TICK + GRACE + 10 + TICK

    async def test_a_client_that_stays_away_ends_as_unpaid_and_learns_it(self, both: Both) -> None:
        await both.stop_agent()
        await both.clock.advance(TICK + GRACE + PATIENCE + 1)
        assert (await both.kept()).lease.end_reason is EndReason.UNPAID
        both.start_agent()
        await both.clock.settle()
        assert both.rental.end_reason is EndReason.UNPAID

    async def test_a_short_break_is_made_good_at_once(self, both: Both) -> None:
        await both.clock.advance(7)
        both.cut()
        await both.clock.advance(1)
        assert len(both.connections) == 2
        assert both.session.view.connected
        await both.clock.advance(10)
        assert (await both.kept()).lease.paid == PRICE.over(20) == both.rental.paid
        assert not both.frozen

    async def test_a_voucher_that_was_lost_on_its_way_is_said_again(self, both: Both) -> None:
        both.books.raise_paid(both.held.id, PRICE.over(10), 10, both.clock.now())
        both.cut()
        await both.clock.advance(1)
        assert both.vouchers()[0].seconds == 10
        assert (await both.kept()).lease.seconds == 10

    async def test_an_agent_that_restarts_pays_on_where_it_stood(self, both: Both) -> None:
        await both.clock.advance(12)
        await both.stop_agent()
        both.start_agent()
        await both.clock.settle()
        assert both.session.view.paid == PRICE.over(15)
        await both.clock.advance(4)
        assert [voucher.seconds for voucher in both.vouchers()] == [20]

    async def test_a_provider_that_restarts_goes_on_from_its_books(self, both: Both) -> None:
        await both.clock.advance(12)
        await both.stop_provider()
        await both.clock.advance(30)
        await both.start_provider()
        await both.clock.advance(12)
        kept = await both.kept()
        assert kept.lease.paid == both.rental.paid
        assert 15 <= kept.lease.seconds <= 30

    async def test_a_provider_that_restarts_with_a_frozen_container_tells_a_client_that_comes(self, both: Both) -> None:
        await both.stop_agent()
        await both.clock.advance(TICK + GRACE + 1)
        await both.stop_provider()
        await both.start_provider()
        both.start_agent()
        await both.clock.settle()
        assert both.sent(Notice)[0].kind == "frozen"
        assert not both.frozen

    @pytest.mark.parametrize("booked", [LeaseState.RUNNING, LeaseState.FROZEN])
    async def test_books_and_container_that_disagree_after_a_crash_are_brought_together(
        self, both: Both, booked: LeaseState
    ) -> None:
        await both.stop_agent()
        await both.stop_provider()
        if booked is LeaseState.FROZEN:
            await both.store.frozen(both.held.id, 3.0)
        else:
            await both.engine.freeze(both.held.id)
        await both.start_provider()
        both.start_agent()
        await both.clock.advance(8)
        assert not both.frozen
        await both.stop_agent()
        await both.clock.advance(TICK + GRACE + 5)
        assert both.frozen
        assert (await both.kept()).lease.state is LeaseState.FROZEN


class TestFaults:
    FAULT = Notice("dataset", "dataset fault at train/a.bin, offset 4096 of the piece: corrupt block")

    async def test_a_fault_of_the_dataset_is_kept_and_shown(self, both: Both) -> None:
        await both.clock.advance(1)
        await both.meter.tell(self.FAULT)
        await both.clock.advance(7)
        assert both.session.view.fault == self.FAULT.text
        assert both.rental.fault == self.FAULT.text
        assert (await both.kept()).lease.seconds == 10, "paying goes on: what to do is the client's choice"

    async def test_a_client_that_was_away_is_told_when_it_comes(self, both: Both) -> None:
        await both.stop_agent()
        await both.meter.tell(self.FAULT)
        await both.meter.tell(self.FAULT)
        both.start_agent()
        await both.clock.settle()
        assert both.session.view.fault == self.FAULT.text
        assert both.sent(Notice) == [self.FAULT]


class TestEnding:
    def end_of(self, both: Both) -> tuple[End, str]:
        rental = both.rental
        end = End(rental.order_hash, rental.paid, rental.seconds, EndReason.CLIENT_ENDED, both.clock.now())
        return end, SIGNING.sign(end, both.client)

    async def test_the_clients_end_brings_the_providers_signed_one(self, both: Both) -> None:
        await both.clock.advance(12)
        final = await both.session.end(*self.end_of(both))
        assert (final.amount, final.seconds, final.reason) == (PRICE.over(15), 15, EndReason.CLIENT_ENDED)
        assert both.rental.end_reason is (await both.kept()).lease.end_reason is EndReason.CLIENT_ENDED
        await both.clock.settle()
        assert both.tasks["session"].done()

    async def test_an_end_during_a_break_is_sent_when_the_tunnel_is_up_again(self, both: Both) -> None:
        both.reachable = False
        both.cut()
        await both.clock.settle()
        ending = asyncio.create_task(both.session.end(*self.end_of(both)))
        await both.clock.advance(1)
        assert not ending.done()
        both.reachable = True
        await both.clock.advance(2)
        assert (await ending).reason is EndReason.CLIENT_ENDED

    async def test_an_end_that_nobody_answers_is_unavailable_and_payments_go_on(self, both: Both) -> None:
        both.reachable = False
        both.cut()
        await both.clock.settle()
        with pytest.raises(Unavailable):
            await both.session.end(*self.end_of(both), seconds=0)
        both.reachable = True
        await both.clock.advance(8)
        assert both.rental.seconds == 10
        assert both.rental.state is LeaseState.RUNNING

    async def test_an_end_for_another_lease_is_refused(self, both: Both) -> None:
        end, signature = self.end_of(both)
        with pytest.raises(InputRefused):
            await both.session.end(replace(end, order="0x" + "1" * 64), signature)

    async def test_an_end_that_the_client_did_not_sign_changes_nothing(self, both: Both) -> None:
        end, _ = self.end_of(both)
        with pytest.raises(Unavailable):
            await both.session.end(end, SIGNING.sign(end, both.operator), seconds=0)
        await both.clock.settle()
        assert (await both.kept()).lease.state is LeaseState.RUNNING

    async def test_the_providers_end_ends_the_session_with_its_reason(self, both: Both) -> None:
        await both.clock.advance(3)
        await both.meter._on_end(EndReason.PROVIDER_ENDED)
        await both.clock.settle()
        assert both.rental.end_reason is EndReason.PROVIDER_ENDED
        assert both.tasks["session"].done()

    async def test_a_lease_that_ended_while_nobody_listened_answers_the_end_with_its_reason(self, both: Both) -> None:
        both.reachable = False
        both.cut()
        await both.clock.settle()
        await both.meter._on_end(EndReason.HOST_FAILURE)
        ending = asyncio.create_task(both.session.end(*self.end_of(both)))
        await both.clock.settle()
        both.reachable = True
        await both.clock.advance(10)
        assert (await ending).reason is both.rental.end_reason is EndReason.HOST_FAILURE

    async def test_a_voucher_after_the_end_is_refused(self, both: Both) -> None:
        await both.stop_agent()
        await both.meter._on_end(EndReason.PROVIDER_ENDED)
        with pytest.raises(Refused, match="ended"):
            await both.meter.pay(await both.voucher(10))


class TestVerdicts:
    async def test_failing_probes_withhold_the_next_voucher_and_tell_both_sides(self, both: Both) -> None:
        both.probe.status = Status.FAIL
        await both.clock.advance(31)
        assert both.session.view.note.startswith("payment withheld: steered")
        paid = both.rental.paid
        await both.clock.advance(3)
        assert both.rental.paid == paid
        notices = [message for message in both.connections[0].up.seen if isinstance(message, Notice)]
        assert [notice.kind for notice in notices] == ["verdict"]

    async def test_a_probe_that_recovers_within_the_grace_lets_the_voucher_go_at_once(self, both: Both) -> None:
        both.probe.status = Status.FAIL
        await both.clock.advance(31)
        withheld = both.rental.paid
        both.probe.status = Status.OK
        await both.clock.advance(9.5)
        assert both.rental.paid > withheld
        assert not both.frozen
        assert both.session.view.note == ""

    async def test_after_a_freeze_one_payment_is_tried_and_a_healthy_container_goes_on(self, both: Both) -> None:
        both.probe.status = Status.FAIL
        await both.clock.advance(50)
        assert both.frozen
        both.probe.status = Status.OK
        await both.clock.advance(60)
        assert not both.frozen
        assert both.session.view.note == ""
        before = both.rental.seconds
        await both.clock.advance(20)
        assert both.rental.seconds == before + 20

    async def test_a_dead_container_earns_ever_less_and_ends_as_unpaid(self, both: Both) -> None:
        both.probe.status = Status.FAIL
        await both.clock.advance(60)
        paid = both.rental.seconds
        await both.clock.advance(1000)
        assert both.rental.seconds <= paid + 4 * (TICK + GRACE)
        await both.clock.advance(PATIENCE)
        assert (await both.kept()).lease.end_reason is EndReason.UNPAID
        assert both.rental.end_reason is EndReason.UNPAID

    async def test_a_container_that_cannot_be_reached_or_is_frozen_is_not_judged(self, both: Both) -> None:
        both.reachable = False
        both.cut()
        await both.clock.settle()
        runs = both.probe.runs
        both.probe.status = Status.FAIL
        await both.clock.advance(100)
        assert both.probe.runs == runs
