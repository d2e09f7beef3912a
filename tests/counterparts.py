"""Both sides of one lease in one process, on in-memory parts and a clock moved by hand: no ssh, no waiting."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from sqlalchemy.ext.asyncio import AsyncConnection

from shale.chain.chain import Deployment, Opening
from shale.chain.memory import MemoryChain, MemoryWorld
from shale.client import store as client_books
from shale.client.agent.dial import HangUp
from shale.client.agent.session import Session, SessionParts
from shale.client.keys import new_ssh_key
from shale.client.rental import Gateway, Rental, Shell
from shale.clock import ManualClock
from shale.containers.engine import ContainerSpec, ContainerState
from shale.containers.memory import MemoryEngine
from shale.errors import ShaleError, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.order import Acceptance, Confirmation, End, Order
from shale.market.resources import Resources
from shale.market.signing import SigningDomain
from shale.paths import Home
from shale.payments.meter import Terms
from shale.payments.voucher import Voucher
from shale.proofs.memory import MemoryProver
from shale.proofs.prover import PaySecret
from shale.provider.metering import LeaseMeter, MeterParts
from shale.provider.signatures import Signatures
from shale.provider.store import Held, Store, sqlite_url
from shale.provider.till import Till
from shale.provider.topups import TopUps
from shale.quality.hookspecs import Session as ProbedSession
from shale.quality.verdict import Policy, Status, Verdict
from shale.tunnel.link import Link
from shale.tunnel.messages import MAX_LINE, Message, decode
from shale.units import ZERO, AttoFil, Price, checked_address, lease_id_of

PRICE = Price(AttoFil(7))
TICK = 5
MAX_SECONDS = 200
GRACE = 10
PATIENCE = 300
NAME = "quiet-lake"
SIGNING = SigningDomain(31415926, checked_address("0x" + f"{2:040x}"))


class QuietClock(ManualClock):
    """Goes on only when nothing moves: no message on its way, no transaction open."""

    def __init__(self) -> None:
        super().__init__()
        self.moves = 0
        self.open = 0

    async def settle(self) -> None:
        still = 0
        while still < 25:
            before = self.moves
            await asyncio.sleep(0)
            still = still + 1 if not self.open and before == self.moves else 0


class InlineExecutor(ThreadPoolExecutor):
    """Runs what is given to a thread at once, where it is given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as a pool does
            done.set_exception(error)
        return done


class CountedStore(Store):
    """The provider's books; the clock knows while a transaction is open."""

    clock = QuietClock()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        self.clock.open += 1
        try:
            async with super().begin() as connection:
                yield connection
        finally:
            self.clock.open -= 1
            self.clock.moves += 1


class Wire:
    """One direction of a connection: a writer whose bytes the other side's reader gets; `seen` are its messages."""

    def __init__(self, clock: QuietClock) -> None:
        self.reader = asyncio.StreamReader(limit=MAX_LINE)
        self.seen: list[Message] = []
        self._clock = clock
        self._closed = False

    def write(self, data: bytes) -> None:
        if self._closed:
            raise ConnectionResetError
        self._clock.moves += 1
        with suppress(ShaleError):
            self.seen.append(decode(data))
        self.reader.feed_data(data)

    async def drain(self) -> None:
        return

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._clock.moves += 1
            self.reader.feed_eof()


class Ends:
    """Closes both directions, as a socket does."""

    def __init__(self, out: Wire, back: Wire) -> None:
        self.out, self.back = out, back

    def write(self, data: bytes) -> None:
        self.out.write(data)

    async def drain(self) -> None:
        return

    def close(self) -> None:
        self.out.close()
        self.back.close()


@dataclass
class Connection:
    """A pair of links, and what has gone each way."""

    up: Wire
    down: Wire

    @classmethod
    def new(cls, clock: QuietClock) -> Connection:
        return cls(Wire(clock), Wire(clock))

    @property
    def client(self) -> Link:
        return Link(self.down.reader, Ends(self.up, self.down))

    @property
    def provider(self) -> Link:
        return Link(self.up.reader, Ends(self.down, self.up))

    def cut(self) -> None:
        self.up.close()
        self.down.close()


class SteeredProbe:
    """A probe that says what the test wants."""

    name = "steered"
    interval = 10.0
    timeout = 15.0

    def __init__(self, clock: ManualClock) -> None:
        self.status = Status.OK
        self.runs = 0
        self._clock = clock

    async def run(self, session: ProbedSession) -> Verdict:
        self.runs += 1
        return Verdict(self.name, self.status, f"it is {self.status.value}", self._clock.now(), {"rtt_us": 1200})


@dataclass
class Both:
    """A running lease and its two sides. `provider` and `agent` start them, `stop_…` take them away."""

    clock: QuietClock
    operator: LocalAccount
    client: LocalAccount
    prover: MemoryProver
    secret: PaySecret
    engine: MemoryEngine
    store: CountedStore
    books: client_books.Store
    order: Order
    held: Held
    probe: SteeredProbe
    domain: str
    chain: MemoryChain
    reachable: bool = True
    connections: list[Connection] = field(default_factory=list)
    finals: list[End] = field(default_factory=list)
    meter: LeaseMeter = field(init=False)
    session: Session = field(init=False)
    tasks: dict[str, asyncio.Task[Any]] = field(default_factory=dict)
    serving: set[asyncio.Task[None]] = field(default_factory=set)
    changes: int = 0

    @property
    def rental(self) -> Rental:
        return self.books.rental(NAME)

    @property
    def frozen(self) -> bool:
        return self.engine.host.containers[self.held.id].state is ContainerState.PAUSED

    async def kept(self) -> Held:
        return await self.store.lease(self.held.id)

    def sent(self, kind: type[Message], connection: int = -1) -> list[Any]:
        """The messages of a type that the provider sent on one connection."""
        return [message for message in self.connections[connection].down.seen if isinstance(message, kind)]

    def vouchers(self, connection: int = -1) -> list[Any]:
        return [m for m in self.connections[connection].up.seen if type(m).__name__ == "VoucherSent"]

    async def voucher(self, seconds: int, **changes: Any) -> Voucher:
        """A voucher signed by the lease's key for so many seconds at its price."""
        values: dict[str, Any] = {"lease": self.held.id, "amount": PRICE.over(seconds), "domain": self.domain}
        values |= changes
        return await self.prover.sign(
            values.get("secret", self.secret), values["domain"], values["lease"], values["amount"], seconds
        )

    async def start_provider(self) -> None:
        held = await self.kept()
        terms = Terms(PRICE, TICK, held.max_seconds, GRACE, PATIENCE)
        till = Till(self.store, self.prover, self.domain)
        topups = TopUps(self.store, self.chain, 3600)
        topups.on_raised = lambda _lease, seconds, sure: self.meter.lengthen(seconds, sure)
        signatures = Signatures(self.chain, SIGNING)
        parts = MeterParts(self.store, self.engine, till, self.clock, self.operator, SIGNING, signatures, topups)
        self.meter = LeaseMeter(held, terms, parts, self._on_end)
        self.tasks["meter"] = asyncio.create_task(self.meter.run(self.frozen))

    async def stop_provider(self) -> None:
        """As a crash does: nothing is said to anybody."""
        await self._stop("meter")
        self.cut()

    def start_agent(self) -> None:
        parts = SessionParts(
            store=self.books,
            prover=self.prover,
            clock=self.clock,
            signing=SIGNING,
            domain=self.domain,
            ssh_config=Path("/nowhere"),
            dial=self._dial,
            probes=(self.probe,),
            policy=Policy(),
            ask_end=self._ask_end,
        )

        def changed() -> None:
            self.changes += 1

        self.session = Session(self.rental, parts, changed)
        self.tasks["session"] = asyncio.create_task(self.session.run())

    async def stop_agent(self) -> None:
        await self._stop("session")

    def cut(self) -> None:
        """Break the connection that there is; the next dial may work again."""
        for connection in self.connections:
            connection.cut()

    async def close(self) -> None:
        for name in list(self.tasks):
            await self._stop(name)
        self.cut()
        for task in self.serving:
            task.cancel()
        await asyncio.gather(*self.serving, return_exceptions=True)
        self.books.close()
        await self.store.close()

    async def _stop(self, name: str) -> None:
        task = self.tasks.pop(name, None)
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _dial(self, gateway: str) -> tuple[Link, HangUp]:
        assert gateway == f"shale-gateway-{NAME}"
        if not self.reachable or "meter" not in self.tasks:
            raise Unavailable("the gateway can't be reached")
        connection = Connection.new(self.clock)
        self.connections.append(connection)
        task = asyncio.create_task(self._serve(connection))
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)

        async def hang_up() -> None:
            connection.cut()

        return connection.client, hang_up

    async def _serve(self, connection: Connection) -> None:
        await self.meter.serve(connection.provider)
        connection.cut()

    async def _ask_end(self, rental: Rental) -> tuple[End, str] | None:
        if not self.reachable or "meter" not in self.tasks:
            raise Unavailable("the provider can't be reached")
        final = (await self.kept()).final
        return None if final is None else (final, SIGNING.sign(final, self.operator))

    async def _on_end(self, reason: EndReason) -> End:
        """What the lifecycle does, of it what the meter needs."""
        ended = (await self.store.end(self.held.id, reason, self.clock.now())).lease
        final = End(ended.order, ended.paid, ended.seconds, ended.end_reason, ended.ended_at)
        self.finals.append(final)
        await self.meter.close(final)
        return final


async def new_lease(folder: Path) -> Both:
    """A lease whose container runs and whose sides are both at rest."""
    asyncio.get_running_loop().set_default_executor(InlineExecutor(1))
    clock, prover = QuietClock(), MemoryProver()
    operator, client = Account.create(), Account.create()
    secret = await prover.keygen()
    order = new_order(operator, client, secret, clock)
    signature = SIGNING.sign(order, client)
    acceptance = Acceptance(SIGNING.order_hash(order), new_ssh_key().public, clock.now() + 120)
    accepted = SIGNING.sign(acceptance, operator)
    confirmation = Confirmation(acceptance.order, SIGNING.struct_hash(acceptance), order.collateral, order.deadline)

    folder.mkdir(parents=True, exist_ok=True)
    store = await CountedStore.open(sqlite_url(folder / f"{secrets.token_hex(4)}.db"))
    store.clock = clock
    await store.add_accepted(order, signature, "", acceptance, accepted, clock.now())
    held = await store.confirm(lease_id_of(acceptance.order), confirmation, SIGNING.sign(confirmation, client))
    held = await store.running(held.id, clock.now())
    engine = MemoryEngine()
    await engine.start(
        ContainerSpec(held.id, "one", "shale/base:latest", order.resources, Path("/guest"), Path("/keys"))
    )

    home = Home(folder / secrets.token_hex(4))
    books = client_books.Store(home)
    books.keep_secrets(NAME, b"key", secret)
    books.add(
        Rental(
            name=NAME,
            network="memory",
            order=order,
            order_hash=acceptance.order,
            order_signature=signature,
            acceptance=acceptance,
            acceptance_signature=accepted,
            provider_name="Fjord",
            endpoint="http://fjord.example:8420",
            gateway=Gateway("fjord.example", 8422, "shale-gateway", acceptance.host_key),
            shell=None,
            mount="",
            ssh_key="",
            state=LeaseState.STARTING,
            paid=ZERO,
            seconds=0,
            end_reason=EndReason.NONE,
            created_at=clock.now(),
            first_paid_at=0,
            ended_at=0,
            settled_paid=None,
            settled_seconds=None,
            reviewed=False,
        )
    )
    books.set_shell(held.id, Shell("192.0.2.1", 22, "root"))
    domain = await prover.domain(SIGNING.chain_id, SIGNING.market)
    places = [checked_address("0x" + f"{n:040x}") for n in range(1, 5)]
    world = MemoryWorld(prover, clock, Deployment(31415926, *places[:3], (places[3],) * 4, block=0))
    world.balances[order.client] = order.collateral * 4
    chain = MemoryChain(world, order.client)
    opening = Opening(order, signature, acceptance, accepted, confirmation, SIGNING.sign(confirmation, client))
    await chain.open_leases([opening])
    return Both(
        clock, operator, client, prover, secret, engine, store, books, order, held, SteeredProbe(clock), domain, chain
    )  # fmt: skip


def new_order(operator: LocalAccount, client: LocalAccount, secret: PaySecret, clock: ManualClock) -> Order:
    return Order(
        client=checked_address(client.address),
        provider=checked_address(operator.address),
        offer="0x" + "0" * 64,
        resources=Resources(1000, 2**30),
        image="shale/base:latest",
        dataset="",
        price=PRICE,
        max_seconds=MAX_SECONDS,
        tick_seconds=TICK,
        ssh_key=new_ssh_key().public,
        gateway_key=new_ssh_key().public,
        pay_key=secret.public,
        nonce=secrets.randbits(60),
        deadline=clock.now() + 600,
    )
