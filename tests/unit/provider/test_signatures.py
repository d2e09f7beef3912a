"""Clients that are contracts: the desk asks them what they signed, and no stranger can have it ask without end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.desks import FIL, Counter
from tests.settlements import opening_of

from shale.chain.memory import MemoryChain
from shale.errors import InputRefused, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End, Order, order_to_json
from shale.provider.anchoring import Anchoring
from shale.provider.ledger_books import LedgerBooks
from shale.provider.signatures import MAX_BYTES, Signatures
from shale.units import ZERO, Address, OrderHash, checked_address

CONTRACT = checked_address("0x" + "c0" * 20)


class Asked(MemoryChain):
    """Counts what it is asked of contracts; answers while `answers` is set."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(counter.world, checked_address(counter.operator.address))
        self.asked = 0
        self.at_once = 0
        self.most = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def contract_signed(self, signer: Address, digest: str, signature: str) -> bool:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.answers.wait()
        self.at_once -= 1
        return await super().contract_signed(signer, digest, signature)


@pytest.fixture
def chain(counter: Counter) -> Asked:
    """The client's key signs for a contract that has 1 FIL in the ledger."""
    counter.world.contracts[CONTRACT] = checked_address(counter.client.address)
    counter.world.balances[CONTRACT] = FIL
    chain = Asked(counter)
    counter.desk.chain, counter.desk.signatures = chain, Signatures(chain, counter.desk.signing)
    return chain


def of_contract(counter: Counter, **changes: Any) -> Order:
    return counter.order(client=CONTRACT, **changes)


async def test_a_contract_orders_and_confirms_by_what_it_calls_its_signatures(counter: Counter, chain: Asked) -> None:
    held = await counter.lease(of_contract(counter))
    assert (held.lease.state, held.order.client, chain.asked) == (LeaseState.STARTING, CONTRACT, 2)
    await Anchoring(chain, LedgerBooks(counter.desk.store), counter.clock).open(opening_of(held))
    assert await chain.lease(held.id) is not None


async def test_what_the_contract_does_not_know_for_its_own_is_refused(counter: Counter, chain: Asked) -> None:
    await counter.refuses(of_contract(counter), "signed by", "contract", signer=counter.operator)
    assert chain.asked == 1
    order = of_contract(counter)
    accepted = await counter.hand_in(order)
    confirmation = counter.confirmation(order, accepted.acceptance)
    with pytest.raises(InputRefused, match="signed by"):
        await counter.confirm(confirmation, signer=counter.operator)
    held, _ = await counter.confirm(confirmation)
    assert held.lease.state is LeaseState.STARTING


async def test_a_keys_own_signature_asks_no_contract(counter: Counter, chain: Asked) -> None:
    await counter.lease(counter.order())
    assert chain.asked == 0


@pytest.mark.parametrize("signature", [7, "", "0x", "0xzz", "0x" + "ab" * (MAX_BYTES + 1), "ab" * 65])
async def test_what_is_no_signature_at_all_asks_no_contract(counter: Counter, chain: Asked, signature: object) -> None:
    raw = {"order": order_to_json(of_contract(counter)), "mount": "/data", "signature": signature}
    with pytest.raises(InputRefused, match="malformed"):
        await counter.desk.accept(raw)
    assert chain.asked == 0


async def test_strangers_have_only_so_many_contracts_asked_at_once(counter: Counter, chain: Asked) -> None:
    chain.answers.clear()
    end = End(OrderHash("0x" + "77" * 32), ZERO, 0, EndReason.CLIENT_ENDED, 1)
    signature = counter.desk.signing.sign(end, counter.operator)

    async def ask() -> None:
        await counter.desk.signatures.check(end, signature, CONTRACT)

    asking = [asyncio.create_task(ask()) for _ in range(30)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert sum(task.done() for task in asking) == 10
    chain.answers.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["InputRefused"] * 20 + ["Unavailable"] * 10
    assert (chain.asked, chain.most) == (20, 4)
    await counter.desk.signatures.check(end, counter.desk.signing.sign(end, counter.client), CONTRACT)


async def test_a_contract_that_answers_slowly_holds_up_nobody_elses_order(counter: Counter, chain: Asked) -> None:
    order = of_contract(counter)
    accepted = await counter.hand_in(order)
    chain.answers.clear()
    slow = asyncio.create_task(counter.confirm(counter.confirmation(order, accepted.acceptance)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert (await counter.lease(counter.order())).lease.state is LeaseState.STARTING
    assert not slow.done()
    chain.answers.set()
    held, _ = await slow
    assert held.lease.state is LeaseState.STARTING


async def test_while_nobody_can_say_nothing_is_refused_for_good(
    counter: Counter, chain: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> bool:
        raise Unavailable("the node does not answer", "try again later")

    order = of_contract(counter)
    with monkeypatch.context() as context:
        context.setattr(chain, "contract_signed", silent)
        with pytest.raises(Unavailable):
            await counter.hand_in(order)
    assert await counter.hand_in(order)


async def test_a_contracts_lease_is_anchored_alone(counter: Counter, chain: Asked) -> None:
    counter.world.balances[checked_address(counter.client.address)] = FIL * 2
    orders = [counter.order(), of_contract(counter), counter.order()]
    held = [await counter.lease(order) for order in orders]
    anchoring = Anchoring(chain, LedgerBooks(counter.desk.store), counter.clock)
    one, contract, two = await asyncio.gather(*(anchoring.open(opening_of(each)) for each in held))
    assert one.tx == two.tx != contract.tx
