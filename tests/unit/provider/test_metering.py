"""The provider's meter against forged vouchers, strangers at its door, and parts that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.counterparts import GRACE, MAX_SECONDS, TICK, Both, Connection, new_lease

from shale.errors import Unavailable
from shale.payments.voucher import Voucher
from shale.tunnel.messages import Ack, Hello, RefuseVoucher, VoucherSent, Welcome
from shale.units import LeaseId


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    """A lease whose two sides run and have met."""
    lease = await new_lease(tmp_path)
    await lease.start_provider()
    lease.start_agent()
    await lease.clock.settle()
    yield lease
    await lease.close()


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

    async def test_a_leap_over_the_end_of_the_final_deposit(self, both: Both) -> None:
        both.meter.lengthen(MAX_SECONDS + 100, MAX_SECONDS)
        assert "not final" in await self.refused(both, await both.voucher(MAX_SECONDS + 10))

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


class TestFailingParts:
    async def test_an_engine_that_fails_does_not_stop_the_meter(self, both: Both) -> None:
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
