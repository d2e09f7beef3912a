"""Anchoring for contracts: what a stranger's program does to its own lease's transaction holds up nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.desks import FIL, Counter
from tests.settlements import opening_of

from shale.chain.chain import Opening, Receipt
from shale.chain.memory import MemoryChain
from shale.errors import Refused, Unavailable
from shale.provider.anchoring import ASK_SECONDS, CONTRACTS, SEND_SECONDS, Anchoring
from shale.provider.ledger_books import LedgerBooks
from shale.units import checked_address

CONTRACT = checked_address("0x" + "c0" * 20)


class Hanging(MemoryChain):
    """A node that gets to no end with a contract's lease: in asking, or in sending, as the test says."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(counter.world, checked_address(counter.operator.address))
        self.hangs = ""
        self.asked = 0
        self.now = 0
        self.most = 0

    async def would_open(self, openings: Sequence[Opening]) -> None:
        self.asked += 1
        await self._hang("asking", openings)
        await super().would_open(openings)

    async def open_leases(self, openings: Sequence[Opening]) -> Receipt:
        await self._hang("sending", openings)
        return await super().open_leases(openings)

    async def _hang(self, where: str, openings: Sequence[Opening]) -> None:
        if self.hangs == where and openings[0].order.client == CONTRACT:
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await asyncio.Event().wait()
            finally:
                self.now -= 1


@pytest.fixture
def chain(counter: Counter) -> Hanging:
    """The client's key signs for a contract, too; both have money in the ledger."""
    counter.world.contracts[CONTRACT] = checked_address(counter.client.address)
    counter.world.balances[CONTRACT] = counter.world.balances[checked_address(counter.client.address)] = FIL
    chain = counter.desk.signatures.chain = Hanging(counter)
    return chain


@pytest.fixture
def anchoring(counter: Counter, chain: Hanging) -> Anchoring:
    return Anchoring(chain, LedgerBooks(counter.desk.store), counter.clock)


async def of_contract(counter: Counter) -> Opening:
    return opening_of(await counter.lease(counter.order(client=CONTRACT)))


async def of_key(counter: Counter) -> Opening:
    return opening_of(await counter.lease(counter.order()))


@pytest.mark.parametrize("hangs", ["asking", "sending"])
async def test_contracts_whose_leases_hang_hold_up_no_key_clients_lease(
    counter: Counter, chain: Hanging, anchoring: Anchoring, hangs: str
) -> None:
    contract, key = await of_contract(counter), await of_key(counter)
    chain.hangs = hangs
    slow = [asyncio.create_task(anchoring.open(contract)) for _ in range(12)]
    await counter.clock.settle()
    async with asyncio.timeout(10):
        assert isinstance(await anchoring.open(key), Receipt)
    assert counter.clock.steady() == 0.0
    assert (chain.now, chain.most) == (CONTRACTS, CONTRACTS)
    assert not any(task.done() for task in slow)
    await anchoring.close()
    await asyncio.gather(*slow, return_exceptions=True)


@pytest.mark.parametrize(("hangs", "seconds"), [("asking", ASK_SECONDS), ("sending", SEND_SECONDS)])
async def test_one_that_hangs_gives_its_place_to_the_next_contract(
    counter: Counter, chain: Hanging, anchoring: Anchoring, hangs: str, seconds: float
) -> None:
    contract = await of_contract(counter)
    chain.hangs = hangs
    slow = [asyncio.create_task(anchoring.open(contract)) for _ in range(CONTRACTS)]
    await counter.clock.advance(seconds - 1)
    assert not any(task.done() for task in slow)
    last = asyncio.create_task(anchoring.open(contract))
    await counter.clock.settle()
    chain.hangs = ""
    await counter.clock.advance(2)
    outcomes = await asyncio.gather(*slow, return_exceptions=True)
    assert [isinstance(outcome, Unavailable) for outcome in outcomes] == [True, True], "they may be tried again"
    assert chain.now == 0
    assert isinstance(await last, Receipt)


async def test_a_contracts_lease_that_the_chain_refuses_costs_no_transaction(
    counter: Counter, chain: Hanging, anchoring: Anchoring
) -> None:
    contract = await of_contract(counter)
    counter.world.balances[CONTRACT] = counter.world.balances[CONTRACT] * 0
    chain.hangs = "sending"
    with pytest.raises(Refused):
        await anchoring.open(contract)
    assert (chain.asked, chain.most) == (1, 0)


async def test_what_fails_unforeseen_stops_no_other_contracts_lease(
    counter: Counter, chain: Hanging, anchoring: Anchoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract, real = await of_contract(counter), chain.would_open

    async def broken(openings: Sequence[Opening]) -> None:
        if chain.asked < CONTRACTS:
            chain.asked += 1
            raise RuntimeError("a bug")
        await real(openings)

    monkeypatch.setattr(chain, "would_open", broken)
    outcomes = await asyncio.gather(*(anchoring.open(contract) for _ in range(CONTRACTS + 1)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RuntimeError, RuntimeError, Receipt]


@pytest.mark.parametrize("hangs", ["asking", "sending"])
async def test_nothing_goes_on_when_it_is_closed(
    counter: Counter, chain: Hanging, anchoring: Anchoring, hangs: str
) -> None:
    before, contract, key = asyncio.all_tasks(), await of_contract(counter), await of_key(counter)
    chain.hangs = hangs
    waits = [asyncio.create_task(anchoring.open(contract)) for _ in range(CONTRACTS + 1)]
    await counter.clock.settle()
    assert chain.now == CONTRACTS
    await anchoring.close()
    outcomes = await asyncio.gather(*waits, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert chain.now == 0
    assert asyncio.all_tasks() <= before, "no task of it is left"
    chain.hangs = ""
    assert isinstance(await anchoring.open(key), Receipt), "and whoever comes back finds it working"
