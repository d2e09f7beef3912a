"""A provider's settlement in memory: leases that were paid for, and faults that strike at any of its steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.desks import FIL, Counter

from shale.chain.chain import Opening
from shale.chain.memory import MemoryChain
from shale.ledger.rebuild import rebuild
from shale.market.lease import EndReason, LeaseState
from shale.payments.batch import SIZES
from shale.proofs.memory import MemoryProver
from shale.proofs.prover import PaySecret
from shale.provider.ledger_books import LedgerBooks
from shale.provider.settled import Settled
from shale.provider.settlement import Settlement
from shale.provider.store import Held
from shale.units import Address, AttoFil, checked_address


class Killed(BaseException):
    """What kill -9 does: nothing catches it, nothing is cleared up."""


class Steps:
    """Counts the calls that change or ask something; dies before, or after, the one that the test names."""

    def __init__(self) -> None:
        self.count = 0
        self.fatal = -1
        self.after = False
        self.named: list[str] = []

    def around(self, target: Any, names: tuple[str, ...]) -> Any:
        """The target, with these of its methods counted."""
        steps = self

        class Around:
            def __getattr__(self, name: str) -> Any:
                inner = getattr(target, name)
                if name not in names:
                    return inner

                async def call(*given: Any, **more: Any) -> Any:
                    steps.count += 1
                    steps.named.append(name)
                    number = steps.count
                    if number == steps.fatal and not steps.after:
                        raise Killed
                    result = await inner(*given, **more)
                    if number == steps.fatal:
                        raise Killed
                    return result

                return call

        return Around()


CHAIN_STEPS = ("settle", "refund", "collect", "shard", "lease", "heads", "receipt")
BOOK_STEPS = ("keep", "mark", "mined", "closed", "post", "replace_tree", "taken_back")


@dataclass
class Shop:
    """A provider with leases; `start` makes its settlement anew, as after a restart."""

    counter: Counter
    secrets: dict[str, PaySecret] = field(default_factory=dict)
    steps: Steps = field(default_factory=Steps)
    proofs: int = 0
    sizes: tuple[int, ...] = SIZES

    @property
    def operator(self) -> Address:
        return checked_address(self.counter.operator.address)

    @property
    def client(self) -> Address:
        return checked_address(self.counter.client.address)

    @property
    def books(self) -> LedgerBooks:
        return LedgerBooks(self.counter.desk.store)

    async def domain(self) -> str:
        deployment = self.counter.world.deployment
        return await self.counter.desk.prover.domain(deployment.chain_id, deployment.ledger)

    async def start(self, chain: MemoryChain | None = None) -> Settlement:
        desk, shop = self.counter.desk, self

        class Counted(MemoryProver):
            async def prove(self, *given: Any, **more: Any) -> Any:
                shop.proofs += 1
                return await super().prove(*given, **more)

        return Settlement(
            desk.store,
            self.steps.around(self.books, BOOK_STEPS),
            self.steps.around(chain or desk.chain, CHAIN_STEPS),
            self.steps.around(Counted(self.sizes), ("prove",)),
            self.counter.clock,
            self.operator,
            await self.domain(),
        )

    async def settle(self, chain: MemoryChain | None = None, redeem: bool = True) -> list[Settled]:
        return await (await self.start(chain)).run(redeem)

    async def lease(self, **changes: Any) -> Held:
        """A running lease, anchored, with nothing paid."""
        desk = self.counter.desk
        secret = await desk.prover.keygen()
        deadline = self.counter.clock.now() + 600
        held = await self.counter.lease(self.counter.order(pay_key=secret.public, deadline=deadline, **changes))
        self.secrets[held.id] = secret
        await desk.chain.open_leases([opening_of(held)])
        await desk.store.set_anchor(held.id, "0x" + "0a" * 32)
        return await desk.store.running(held.id, self.counter.clock.now())

    async def pay(self, held: Held, seconds: int) -> Held:
        amount = held.order.price.over(seconds)
        voucher = await self.counter.desk.prover.sign(
            self.secrets[held.id], await self.domain(), held.id, amount, seconds
        )
        assert await self.counter.desk.store.store_vouchers([(voucher, float(seconds))]) == [None]
        return await self.counter.desk.store.lease(held.id)

    async def end(self, held: Held) -> Held:
        return await self.counter.desk.store.end(held.id, EndReason.CLIENT_ENDED, self.counter.clock.now())

    async def ended(self, seconds: int = 0) -> Held:
        """A lease that was paid for so long, and has ended."""
        held = await self.lease()
        if seconds:
            held = await self.pay(held, seconds)
        return await self.end(held)

    async def check_money(self, *paid: tuple[Held, int]) -> None:
        """All of these are settled: the provider has what was paid, the client all the rest, to the attoFIL."""
        earned = sum((held.order.price.over(seconds).value for held, seconds in paid), 0)
        world = self.counter.world
        assert world.wallets[self.operator] == AttoFil(earned)
        assert await self.counter.desk.chain.ledger_balance(self.client) == FIL * 2 - AttoFil(earned)
        for held, _ in paid:
            assert (await self.counter.desk.store.lease(held.id)).lease.state is LeaseState.SETTLED
        await self.check_tree()

    async def check_tree(self) -> None:
        """The books' tree is the one that the chain's events make."""
        rebuilt = await rebuild(self.counter.desk.chain, self.counter.desk.prover, self.operator)
        assert await self.books.tree() == list(rebuilt.leaves)


def opening_of(held: Held) -> Opening:
    assert held.confirmation is not None
    return Opening(
        held.order,
        held.order_signature,
        held.acceptance,
        held.acceptance_signature,
        held.confirmation,
        held.confirmation_signature,
    )


def open_shop(counter: Counter) -> Shop:
    """The client has 2 FIL in the ledger, for several leases."""
    counter.world.balances[checked_address(counter.client.address)] = FIL * 2
    return Shop(counter)
