"""A client's session against a provider's meter, both as they ship, under a clock moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.counterparts import GRACE, MAX_SECONDS, PATIENCE, PRICE, SIGNING, TICK, Both, Connection, new_lease

from shale.errors import Closed, InputRefused, Refused, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.payments.voucher import Voucher
from shale.quality.verdict import Status
from shale.tunnel.messages import Ack, EndSent, Hello, Notice, ReadingSent, RefuseVoucher, VoucherSent, Welcome
from shale.units import ZERO, AttoFil, LeaseId


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
        with pytest.raises(Closed, match="host_failure"):
            await ending

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


class TestForgedVouchers:
    async def refused(self, both: Both, voucher: Voucher, seconds: int | None = None) -> str:
        """The provider's reason; its books must stay as they are."""
        await both.stop_agent()
        before = (await both.kept()).lease
        connection = Connection.new(both.clock)
        serving = asyncio.create_task(both.meter.serve(connection.provider))
        client = connection.client
        await client.send(Hello(both.held.id, "ab" * 32))
        await client.send(VoucherSent(1, voucher.amount, seconds or voucher.seconds, voucher.signature))
        await both.clock.settle()
        connection.cut()
        await serving
        assert (await both.kept()).lease == before
        assert not [message for message in connection.down.seen if isinstance(message, Ack)]
        [refusal] = [message for message in connection.down.seen if isinstance(message, RefuseVoucher)]
        return refusal.reason

    async def test_another_keys_signature(self, both: Both) -> None:
        stranger = await both.prover.keygen()
        assert "signature" in await self.refused(both, await both.voucher(10, secret=stranger))

    async def test_another_leases_voucher(self, both: Both) -> None:
        other = LeaseId("0x" + "1" * 62)
        assert "signature" in await self.refused(both, await both.voucher(10, lease=other))

    async def test_another_ledgers_voucher(self, both: Both) -> None:
        assert "signature" in await self.refused(both, await both.voucher(10, domain="0x" + "1" * 64))

    async def test_a_lower_amount(self, both: Both) -> None:
        await both.clock.advance(12)
        assert "higher" in await self.refused(both, await both.voucher(10))

    async def test_more_seconds_than_the_amount_pays(self, both: Both) -> None:
        assert "price" in await self.refused(both, await both.voucher(10), seconds=11)

    async def test_more_than_the_collateral(self, both: Both) -> None:
        assert "collateral" in await self.refused(both, await both.voucher(MAX_SECONDS + 5))

    async def test_the_stored_voucher_again_is_acknowledged_again(self, both: Both) -> None:
        await both.stop_agent()
        voucher = await both.voucher(5)
        before = (await both.kept()).lease
        await both.meter.pay(voucher)
        assert (await both.kept()).lease == before


class TestHostileProvider:
    """The session against a provider that speaks for itself."""

    @pytest.fixture
    async def alone(self, both: Both) -> Both:
        """The provider's meter is gone; the test answers in its place."""
        await both.stop_provider()
        await both.clock.settle()
        return both

    async def meet(self, both: Both, paid: AttoFil | None = None, seconds: int | None = None) -> Connection:
        """Answer the next hello; as the books have it unless told otherwise."""
        connection = Connection.new(both.clock)

        async def dial(gateway: str) -> object:
            async def hang_up() -> None:
                connection.cut()

            return connection.client, hang_up

        both.session._parts = replace(both.session._parts, dial=dial)  # type: ignore[arg-type]
        await both.clock.advance(10)
        [hello] = connection.up.seen
        assert isinstance(hello, Hello)
        paid, seconds = both.rental.paid if paid is None else paid, both.rental.seconds if seconds is None else seconds
        welcome = Welcome(
            both.held.id, "cd" * 32, hello.nonce, both.held.acceptance.host_key, paid, seconds, both.clock.now(), ""
        )
        return await self.say(both, connection, welcome)

    async def say(self, both: Both, connection: Connection, message: Welcome | ReadingSent | EndSent) -> Connection:
        """Send it with the operator's signature."""
        order = both.rental.order_hash
        match message:
            case Welcome():
                signed: object = _reading(order, 0, message.seconds, message.paid, message.at)
            case ReadingSent():
                signed = _reading(order, message.tick, message.seconds, message.due, message.at)
            case EndSent():
                signed = End(order, message.amount, message.seconds, message.reason, message.at)
        signature = message.signature or SIGNING.sign(signed, both.operator)  # type: ignore[arg-type]
        await connection.provider.send(replace(message, signature=signature))
        await both.clock.settle()
        return connection

    def reading(self, both: Both, tick: int, **changes: object) -> ReadingSent:
        values = {"seconds": tick * TICK, "due": PRICE.over(tick * TICK), "signature": ""} | changes
        return ReadingSent(tick=tick, at=both.clock.now(), cpu_millis=0, memory_bytes=0, **values)  # type: ignore[arg-type]

    async def test_a_claim_of_more_than_was_signed_is_not_paid_on(self, alone: Both) -> None:
        await self.meet(alone, paid=PRICE.over(50), seconds=50)
        assert "only" in alone.session.view.note
        assert not alone.session.view.connected
        assert alone.rental.seconds == 5

    async def test_readings_ahead_of_our_clock_wait_for_it(self, alone: Both) -> None:
        elapsed = alone.session.view.elapsed_seconds
        connection = await self.meet(alone)
        await self.say(alone, connection, self.reading(alone, 40))
        assert alone.rental.seconds <= elapsed + 10 + 2 + TICK
        assert "ahead" in alone.session.view.note
        before = alone.rental.seconds
        await alone.clock.advance(50)
        assert alone.rental.seconds <= before + 50 + TICK

    async def test_messages_are_heard_while_a_payment_waits(self, alone: Both) -> None:
        connection = await self.meet(alone)
        await self.say(alone, connection, self.reading(alone, 40))
        paid = alone.rental.paid
        final = EndSent(paid, alone.rental.seconds, EndReason.PROVIDER_ENDED, alone.clock.now(), "")
        await self.say(alone, connection, final)
        assert alone.rental.end_reason is EndReason.PROVIDER_ENDED

    @pytest.mark.parametrize(
        "changes",
        [
            {"due": PRICE.over(10) + AttoFil(1)},
            {"seconds": 11},
            {"seconds": 10, "due": ZERO},
            {"signature": "0x" + "12" * 65},
        ],
        ids=["price", "not a tick's end", "too cheap", "forged"],
    )
    async def test_a_reading_that_breaks_the_terms_is_not_paid(self, alone: Both, changes: dict[str, object]) -> None:
        connection = await self.meet(alone)
        before = alone.rental.paid
        await self.say(alone, connection, self.reading(alone, 2, **changes))
        assert alone.rental.paid == before
        assert alone.session.view.note.startswith("not paying")

    async def test_a_reading_signed_by_another_is_not_paid(self, alone: Both) -> None:
        connection = await self.meet(alone)
        reading = self.reading(alone, 2)
        signed = _reading(alone.rental.order_hash, 2, 10, PRICE.over(10), reading.at)
        forged = replace(reading, signature=SIGNING.sign(signed, alone.client))
        await self.say(alone, connection, forged)
        assert alone.rental.seconds == 5

    async def test_a_replayed_reading_brings_the_same_voucher_again(self, alone: Both) -> None:
        connection = await self.meet(alone)
        reading = self.reading(alone, 2)
        for _ in range(3):
            await self.say(alone, connection, reading)
        vouchers = [message for message in connection.up.seen if isinstance(message, VoucherSent)]
        assert {(voucher.amount, voucher.seconds) for voucher in vouchers} == {(PRICE.over(10), 10)}

    async def test_a_meter_that_rolled_back_gets_the_highest_voucher_again(self, alone: Both) -> None:
        connection = await self.meet(alone)
        await self.say(alone, connection, self.reading(alone, 2))
        await self.say(alone, connection, self.reading(alone, 1))
        vouchers = [message for message in connection.up.seen if isinstance(message, VoucherSent)]
        assert vouchers[-1].seconds == 10

    async def test_an_acknowledgement_of_more_than_was_signed_breaks_the_tunnel(self, alone: Both) -> None:
        connection = await self.meet(alone)
        await connection.provider.send(Ack(9, PRICE.over(45), 45))
        await alone.clock.settle()
        assert "only" in alone.session.view.note

    @pytest.mark.parametrize("claim", [(PRICE.over(6), 5), (PRICE.over(5), 6)])
    async def test_a_final_state_above_what_was_signed_is_refused(
        self, alone: Both, claim: tuple[AttoFil, int]
    ) -> None:
        connection = await self.meet(alone)
        await self.say(alone, connection, EndSent(*claim, EndReason.PROVIDER_ENDED, alone.clock.now(), ""))
        assert not alone.rental.ended

    async def test_too_many_messages_break_the_tunnel(self, alone: Both) -> None:
        connection = await self.meet(alone)
        with suppress(Closed):
            for _ in range(150):
                await connection.provider.send(Notice("maintenance", "again"))
        await alone.clock.settle()
        assert "too many" in alone.session.view.note

    async def test_another_hosts_key_is_not_paid(self, alone: Both) -> None:
        alone.session._payer = replace(alone.session._payer, host_key="ssh-ed25519 AAAA")
        await self.meet(alone)
        assert "host key" in alone.session.view.note
        assert alone.rental.seconds == 5


class TestFailingParts:
    async def test_an_engine_that_fails_does_not_stop_the_meter(self, both: Both, monkeypatch: object) -> None:
        freeze, calls = both.engine.freeze, []

        async def failing(lease: LeaseId) -> None:
            calls.append(lease)
            if len(calls) < 4:
                raise Unavailable("the engine restarts")
            await freeze(lease)

        both.engine.freeze = failing  # type: ignore[method-assign]
        await both.stop_agent()
        await both.clock.advance(TICK + GRACE + 2)
        assert not both.frozen
        await both.clock.advance(3)
        assert both.frozen
        assert len(calls) == 4

    async def test_a_prover_that_fails_is_asked_again_by_the_provider(self, both: Both) -> None:
        verify, calls = both.prover.verify, []

        async def failing(*arguments: object) -> bool:
            calls.append(arguments)
            if len(calls) < 3:
                raise Unavailable("the prover restarts")
            return await verify(*arguments)  # type: ignore[arg-type]

        both.prover.verify = failing  # type: ignore[method-assign]
        await both.clock.advance(5)
        assert (await both.kept()).lease.seconds == 5
        await both.clock.advance(4)
        assert (await both.kept()).lease.seconds == 10
        assert not both.frozen

    async def test_a_newer_connection_takes_the_place_of_the_older(self, both: Both) -> None:
        connection = Connection.new(both.clock)
        serving = asyncio.create_task(both.meter.serve(connection.provider))
        await connection.client.send(Hello(both.held.id, "ab" * 32))
        await both.clock.settle()
        assert isinstance(connection.down.seen[0], Welcome)
        connection.cut()
        await serving

    async def test_a_hello_for_another_lease_gets_no_answer(self, both: Both) -> None:
        connection = Connection.new(both.clock)
        serving = asyncio.create_task(both.meter.serve(connection.provider))
        await connection.client.send(Hello(LeaseId("0x" + "1" * 62), "ab" * 32))
        await serving
        assert connection.down.seen == []


def _reading(order: object, tick: int, seconds: int, due: AttoFil, at: int) -> object:
    from shale.market.order import Reading

    return Reading(order, tick, seconds, due, at)  # type: ignore[arg-type]
