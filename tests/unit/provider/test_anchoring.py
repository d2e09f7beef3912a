"""Anchoring: leases that start together share a transaction, and none of them suffers for another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.desks import FIL, Counter
from tests.settlements import opening_of

from shale.chain.abi import Contract, artifact
from shale.chain.chain import Opening, Receipt
from shale.chain.fees import MAX_DATA
from shale.chain.memory import MemoryChain
from shale.chain.records import opening_of as encoded
from shale.errors import Refused, Unavailable
from shale.provider.anchoring import MOST, Anchoring
from shale.provider.ledger_books import LedgerBooks
from shale.units import checked_address


class Counting(MemoryChain):
    """Notes how many leases each transaction opens; fails with `trouble` while there is one."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(counter.world, checked_address(counter.operator.address))
        self.opened: list[int] = []
        self.trouble: Exception | None = None

    async def open_leases(self, openings: Sequence[Opening]) -> Receipt:
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        receipt = await super().open_leases(openings)
        self.opened.append(len(openings))
        return receipt


@pytest.fixture
def chain(counter: Counter) -> Counting:
    counter.world.balances[checked_address(counter.client.address)] = FIL * 2
    return Counting(counter)


def anchoring_of(counter: Counter, chain: Counting, wait: float = 0.0) -> Anchoring:
    return Anchoring(chain, LedgerBooks(counter.desk.store), counter.clock, wait)


def expired(counter: Counter, opening: Opening) -> Opening:
    """One that the chain takes no more."""
    bad = replace(opening, confirmation=replace(opening.confirmation, deadline=1))
    return replace(bad, confirmation_signature=counter.desk.signing.sign(bad.confirmation, counter.client))


async def openings(counter: Counter, many: int) -> list[Opening]:
    return [opening_of(await counter.lease(counter.order())) for _ in range(many)]


async def test_leases_that_wait_together_go_in_one_transaction(counter: Counter, chain: Counting) -> None:
    anchoring = anchoring_of(counter, chain)
    receipts = await asyncio.gather(*(anchoring.open(one) for one in await openings(counter, 3)))
    assert chain.opened == [3]
    assert len({receipt.tx for receipt in receipts}) == 1
    [posting] = await LedgerBooks(counter.desk.store).postings(0)
    assert (posting["kind"], posting["tx"]) == ("open", receipts[0].tx)


async def test_one_that_comes_while_another_is_on_its_way_takes_the_next(counter: Counter, chain: Counting) -> None:
    anchoring, (one, two, three) = anchoring_of(counter, chain), await openings(counter, 3)
    first = asyncio.create_task(anchoring.open(one))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.gather(first, anchoring.open(two), anchoring.open(three))
    assert chain.opened == [1, 2]


async def test_one_that_the_chain_refuses_spoils_no_other(counter: Counter, chain: Counting) -> None:
    anchoring, (one, two, three) = anchoring_of(counter, chain), await openings(counter, 3)
    bad = expired(counter, two)
    outcomes = await asyncio.gather(*(anchoring.open(each) for each in (one, bad, three)), return_exceptions=True)
    assert [isinstance(outcome, Refused) for outcome in outcomes] == [False, True, False]
    assert chain.opened == [2]


async def test_many_bad_ones_cost_the_good_ones_no_transaction(counter: Counter, chain: Counting) -> None:
    anchoring, (one, two, three) = anchoring_of(counter, chain), await openings(counter, 3)
    sent = [*([expired(counter, one)] * 20), two, *([expired(counter, one)] * 10), three]
    outcomes = await asyncio.gather(*(anchoring.open(each) for each in sent), return_exceptions=True)
    assert [at for at, outcome in enumerate(outcomes) if isinstance(outcome, Receipt)] == [20, 31]
    assert chain.opened == [2]


async def test_leases_that_the_clients_balance_is_too_small_for_together_leave_the_first(
    counter: Counter, chain: Counting
) -> None:
    anchoring, every = anchoring_of(counter, chain), await openings(counter, 3)
    counter.world.balances[checked_address(counter.client.address)] = every[0].order.collateral * 2
    outcomes = await asyncio.gather(*(anchoring.open(one) for one in every), return_exceptions=True)
    assert [isinstance(outcome, Receipt) for outcome in outcomes] == [True, True, False]
    assert chain.opened == [2]


async def test_a_chain_that_says_one_thing_and_does_another_is_asked_again_later(
    counter: Counter, chain: Counting
) -> None:
    anchoring, parts = anchoring_of(counter, chain), await openings(counter, 2)
    chain.trouble = Refused("the state has moved")
    outcomes = await asyncio.gather(*(anchoring.open(one) for one in parts), return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)


async def test_leases_of_a_few_seconds_share_a_transaction(counter: Counter, chain: Counting) -> None:
    anchoring = anchoring_of(counter, chain, 5.0)
    tasks = []
    for one in await openings(counter, 3):
        await counter.clock.advance(2 if tasks else 0)
        tasks.append(asyncio.create_task(anchoring.open(one)))
        await counter.clock.settle()
    assert chain.opened == []
    await counter.clock.advance(2)
    await asyncio.gather(*tasks)
    assert chain.opened == [3]


async def test_a_lone_lease_waits_its_time_and_no_longer(counter: Counter, chain: Counting) -> None:
    anchoring, [one] = anchoring_of(counter, chain, 5.0), await openings(counter, 1)
    task = asyncio.create_task(anchoring.open(one))
    await counter.clock.advance(4)
    assert not task.done()
    await counter.clock.advance(2)
    await task
    assert chain.opened == [1]


async def test_a_full_transaction_waits_for_nobody(counter: Counter, chain: Counting) -> None:
    anchoring, [one] = anchoring_of(counter, chain, 5.0), await openings(counter, 1)
    chain.trouble = Unavailable("the node does not answer")
    outcomes = await asyncio.gather(*(anchoring.open(one) for _ in range(MOST)), return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert counter.clock.steady() == 0.0


async def test_a_full_transaction_fits_a_message(counter: Counter) -> None:
    [one] = await openings(counter, 1)
    entry = Contract(counter.world.deployment.market, artifact("Market")).function("openLeases")
    assert len(bytes.fromhex(entry.call([[encoded(one)] * MOST])[2:])) <= MAX_DATA


async def test_a_node_that_does_not_answer_is_everybodys_trouble_once(counter: Counter, chain: Counting) -> None:
    anchoring, parts = anchoring_of(counter, chain), await openings(counter, 2)
    chain.trouble = Unavailable("the node does not answer")
    outcomes = await asyncio.gather(*(anchoring.open(one) for one in parts), return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    chain.trouble = None
    await asyncio.gather(*(anchoring.open(one) for one in parts))
    assert chain.opened == [2]


async def test_a_transaction_takes_no_more_than_the_message_pool(counter: Counter, chain: Counting) -> None:
    anchoring, [one] = anchoring_of(counter, chain), await openings(counter, 1)
    chain.trouble = Refused("no")
    outcomes = await asyncio.gather(*(anchoring.open(one) for _ in range(MOST + 3)), return_exceptions=True)
    assert len([outcome for outcome in outcomes if isinstance(outcome, Refused)]) == MOST + 3
