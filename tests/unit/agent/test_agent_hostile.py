"""The session against a provider that speaks for itself: nothing it says makes the client pay more than is due."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.counterparts import PRICE, SIGNING, TICK, Both, Connection, new_lease

from shale.errors import Closed, Unavailable
from shale.market.lease import EndReason
from shale.market.order import End, Reading
from shale.tunnel.messages import Ack, EndSent, Hello, Notice, ReadingSent, VoucherSent, Welcome
from shale.units import ZERO, AttoFil


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    """A lease whose two sides run and have met."""
    lease = await new_lease(tmp_path)
    await lease.start_provider()
    lease.start_agent()
    await lease.clock.settle()
    yield lease
    await lease.close()


class TestHostileProvider:
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
        signed: Reading | End
        match message:
            case Welcome():
                signed = Reading(order, 0, message.seconds, message.paid, message.at)
            case ReadingSent():
                signed = Reading(order, message.tick, message.seconds, message.due, message.at)
            case EndSent():
                signed = End(order, message.amount, message.seconds, message.reason, message.at)
        signature = message.signature or SIGNING.sign(signed, both.operator)
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
        signed = Reading(alone.rental.order_hash, 2, 10, PRICE.over(10), reading.at)
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


class TestAnEndByHttp:
    """The provider's API may be plain HTTP: what it says of an end is believed by the signature alone."""

    @pytest.fixture
    async def cut_off(self, both: Both) -> Both:
        """The tunnel is down, so that the agent asks over HTTP."""
        await both.clock.advance(7)
        both.reachable = False
        both.cut()
        return both

    def end(self, both: Both, **changes: object) -> End:
        final = End(both.rental.order_hash, PRICE.over(5), 5, EndReason.PROVIDER_ENDED, both.clock.now())
        return replace(final, **changes)  # type: ignore[arg-type]

    async def says(self, both: Both, answer: tuple[End, str] | Exception | None) -> None:
        async def ask_end(rental: object) -> tuple[End, str] | None:
            if isinstance(answer, Exception):
                raise answer
            return answer

        both.session._parts = replace(both.session._parts, ask_end=ask_end)
        await both.clock.advance(30)

    async def test_the_providers_own_is_believed(self, cut_off: Both) -> None:
        end = self.end(cut_off)
        await self.says(cut_off, (end, SIGNING.sign(end, cut_off.operator)))
        assert cut_off.rental.end_reason is EndReason.PROVIDER_ENDED
        assert cut_off.tasks["session"].done()

    @pytest.mark.parametrize("change", [{}, {"order": "0x" + "11" * 32}, {"amount": PRICE.over(50)}, {"seconds": 99}])
    async def test_any_other_is_not_and_the_lease_goes_on(self, cut_off: Both, change: dict[str, object]) -> None:
        signer = cut_off.operator if change else cut_off.client
        end = self.end(cut_off, **change)
        await self.says(cut_off, (end, SIGNING.sign(end, signer)))
        await self.goes_on(cut_off)

    @pytest.mark.parametrize("error", [Closed("this provider has no such lease"), Unavailable("it is not there")])
    async def test_nor_is_that_there_is_no_such_lease(self, cut_off: Both, error: Exception) -> None:
        await self.says(cut_off, error)
        await self.goes_on(cut_off)

    async def goes_on(self, both: Both) -> None:
        assert not both.rental.ended
        paid = both.rental.paid
        both.reachable = True
        await both.clock.advance(40)
        assert both.rental.paid > paid
        assert not both.frozen
