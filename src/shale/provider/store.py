"""Store: the provider's books as values, in SQLite (WAL, synchronous) or PostgreSQL; short transactions only."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, bindparam, event, exc, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shale.errors import Closed, Unavailable, VoucherRefused
from shale.market.lease import EndReason, Lease, LeaseState
from shale.market.order import Acceptance, Confirmation, End, Order, order_from_json, order_to_json
from shale.payments.voucher import Voucher
from shale.provider import books
from shale.units import AttoFil, LeaseId, OrderHash


@dataclass(frozen=True, slots=True)
class Held:
    """One lease as the books have it."""

    lease: Lease
    order: Order
    order_signature: str
    mount: str
    acceptance: Acceptance
    acceptance_signature: str
    confirmation: Confirmation | None
    confirmation_signature: str
    created_at: int
    started_at: int
    served: float
    voucher: Voucher | None
    anchor_tx: str
    end_anchored: bool
    extra_seconds: int
    sure_max: int
    """The seconds that the deposit is good for, whatever the chain takes back."""
    sure_voucher: Voucher | None
    """The highest voucher within those."""

    @property
    def id(self) -> LeaseId:
        return self.lease.id

    @property
    def max_seconds(self) -> int:
        """The time that the client's deposit is good for: what was ordered, and what was topped up."""
        return self.order.max_seconds + self.extra_seconds

    @property
    def collateral(self) -> AttoFil:
        return self.order.price.over(self.max_seconds)

    @property
    def published(self) -> bool:
        """Its order came as a transaction of its client's, and so does its confirmation."""
        return not self.order_signature

    @property
    def final(self) -> End | None:
        """The final state that the provider signs; None while the lease hasn't ended."""
        lease = self.lease
        if lease.end_reason is EndReason.NONE:
            return None
        return End(lease.order, lease.paid, lease.seconds, lease.end_reason, lease.ended_at)


class Store:
    """Opened with `Store.open`; every method is one transaction, durable when it returns.

    Each raises Unavailable when the database can't be used just now: nothing was written then.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    async def open(cls, url: str) -> Store:
        """Open the books at a SQLAlchemy URL and bring them to the newest form."""
        engine = create_async_engine(url)
        if engine.dialect.name == "sqlite":
            _keep_private(engine.url.database or "")
            event.listen(engine.sync_engine, "connect", _durable_sqlite)
            event.listen(engine.sync_engine, "begin", _begin_immediate)
        async with _transaction(engine) as connection:
            await connection.run_sync(_migrate)
        return cls(engine)

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        async with _transaction(self._engine) as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads: it waits for no writer and holds none up."""
        async with _transaction(self._engine.execution_options(reads=True)) as connection:
            yield connection

    async def add_accepted(
        self, order: Order, order_signature: str, mount: str, acceptance: Acceptance, signature: str, at: int
    ) -> None:
        """A new lease in state ACCEPTED. Raises Closed when the order is known already."""
        lease = Lease(acceptance.order)
        async with self.begin() as connection:
            known = await connection.execute(select(books.leases.c.state).where(books.leases.c.lease_id == lease.id))
            if known.first() is not None:
                raise Closed("this order was accepted before", "sign a new order")
            await connection.execute(
                insert(books.leases).values(
                    lease_id=lease.id,
                    order_hash=lease.order,
                    order_json=json.dumps(order_to_json(order)),
                    order_signature=order_signature,
                    sure_max=order.max_seconds,
                    mount=mount,
                    host_key=acceptance.host_key,
                    acceptance_deadline=acceptance.deadline,
                    acceptance_signature=signature,
                    state=lease.state.value,
                    created_at=at,
                )
            )

    async def forget(self, lease: LeaseId) -> None:
        """Drop an accepted order that was never confirmed."""
        async with self.begin() as connection:
            await connection.execute(
                books.leases.delete().where(
                    books.leases.c.lease_id == lease, books.leases.c.state == LeaseState.ACCEPTED.value
                )
            )

    async def confirm(self, lease: LeaseId, confirmation: Confirmation, signature: str) -> Held:
        raw = {
            "order": confirmation.order,
            "acceptance": confirmation.acceptance,
            "collateral": str(confirmation.collateral.value),
            "deadline": confirmation.deadline,
        }
        return await self._move(
            lease, LeaseState.STARTING, confirmation_json=json.dumps(raw), confirmation_signature=signature
        )

    async def confirmed_on_chain(self, lease: LeaseId) -> Held:
        """A published order whose lease the chain has: it needs no anchor of ours."""
        return await self._move(lease, LeaseState.STARTING, anchor_tx="known")

    async def running(self, lease: LeaseId, at: int) -> Held:
        return await self._move(lease, LeaseState.RUNNING, started_at=at)

    async def frozen(self, lease: LeaseId, served: float) -> Held:
        return await self._move(lease, LeaseState.FROZEN, served=served)

    async def thawed(self, lease: LeaseId) -> Held:
        return await self._move(lease, LeaseState.RUNNING)

    async def _move(self, lease: LeaseId, state: LeaseState, **values: Any) -> Held:
        async with self.begin() as connection:
            held = await _held(connection, lease)
            moved = held.lease.to(state)
            await connection.execute(
                update(books.leases).where(books.leases.c.lease_id == lease).values(state=moved.state.value, **values)
            )
            return await _held(connection, lease)

    async def end(self, lease: LeaseId, reason: EndReason, at: int) -> Held:
        """The lease, ended; the first reason stays."""
        async with self.begin() as connection:
            held = await _held(connection, lease)
            ended = held.lease.end(reason, at)
            await connection.execute(
                update(books.leases)
                .where(books.leases.c.lease_id == lease)
                .values(state=ended.state.value, end_reason=int(ended.end_reason), ended_at=ended.ended_at)
            )
            return await _held(connection, lease)

    async def store_vouchers(self, vouchers: Sequence[tuple[Voucher, float]]) -> list[VoucherRefused | None]:
        """Keep many, each with the seconds served, in one transaction; says of each why it was refused, or None."""
        columns = [
            books.leases.c[name]
            for name in ("lease_id", "state", "paid", "seconds", "sure_max", "sure_seconds", "sure_signature")
        ]
        wanted = {voucher.lease for voucher, _ in vouchers}
        answers: list[VoucherRefused | None] = []
        kept: dict[LeaseId, dict[str, Any]] = {}
        async with self.begin() as connection:
            rows = await connection.execute(select(*columns).where(columns[0].in_(wanted)))
            known: dict[LeaseId, tuple[LeaseState, AttoFil, int]] = {}
            sure: dict[LeaseId, tuple[int, int, str]] = {}
            for row in rows:
                known[row.lease_id] = (LeaseState(row.state), AttoFil(int(row.paid)), row.seconds)
                sure[row.lease_id] = (row.sure_max, row.sure_seconds, row.sure_signature)
            for voucher, served in vouchers:
                answers.append(_objection(voucher, known.get(voucher.lease)))
                if answers[-1] is None:
                    known[voucher.lease] = (known[voucher.lease][0], voucher.amount, voucher.seconds)
                    most = sure[voucher.lease][0]
                    if voucher.seconds <= most:
                        sure[voucher.lease] = (most, voucher.seconds, voucher.signature)
                    kept[voucher.lease] = {
                        "of": voucher.lease,
                        "paid": str(voucher.amount.value),
                        "seconds": voucher.seconds,
                        "voucher_signature": voucher.signature,
                        "served": served,
                        "sure_seconds": sure[voucher.lease][1],
                        "sure_signature": sure[voucher.lease][2],
                    }
            if kept:
                change = update(books.leases).where(books.leases.c.lease_id == bindparam("of"))
                names = ("paid", "seconds", "voucher_signature", "served", "sure_seconds", "sure_signature")
                values: dict[str, Any] = {name: bindparam(name) for name in names}
                await connection.execute(change.values(**values), list(kept.values()))
        return answers

    async def set_served(self, lease: LeaseId, served: float) -> None:
        await self._set(lease, served=served)

    async def set_anchor(self, lease: LeaseId, tx: str) -> None:
        await self._set(lease, anchor_tx=tx)

    async def set_extra_seconds(self, lease: LeaseId, extra_seconds: int) -> None:
        """The chain has a higher deposit than was ordered. A lower one, asked for earlier, changes nothing."""
        async with self.begin() as connection:
            held = await _held(connection, lease)
            known = held.max_seconds - held.order.max_seconds
            values = {"extra_seconds": max(known, extra_seconds)}
            await connection.execute(update(books.leases).where(books.leases.c.lease_id == lease).values(**values))

    async def set_sure(self, lease: LeaseId, seconds: int) -> None:
        """So many seconds of the deposit are final: the highest voucher within them is kept from now on."""
        async with self.begin() as connection:
            held = await _held(connection, lease)
            values: dict[str, Any] = {"sure_max": max(held.sure_max, seconds)}
            if held.voucher is not None and held.voucher.seconds <= seconds:
                values |= {"sure_seconds": held.voucher.seconds, "sure_signature": held.voucher.signature}
            await connection.execute(update(books.leases).where(books.leases.c.lease_id == lease).values(**values))

    async def _set(self, lease: LeaseId, **values: Any) -> None:
        async with self.begin() as connection:
            await connection.execute(update(books.leases).where(books.leases.c.lease_id == lease).values(**values))

    async def lease(self, lease: LeaseId) -> Held:
        """Raises Closed when the books don't have it."""
        async with self.begin() as connection:
            return await _held(connection, lease)

    async def leases(self, *states: LeaseState) -> list[Held]:
        """The leases in these states (in all of them without), oldest first."""
        query = select(books.leases).order_by(books.leases.c.created_at)
        if states:
            query = query.where(books.leases.c.state.in_([state.value for state in states]))
        async with self.begin() as connection:
            return [_read(row) for row in await connection.execute(query)]


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    with _driver_errors():
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(engine.begin())
            except OSError as error:  # of a server's socket: not every driver wraps it
                raise _unusable(error.strerror or type(error).__name__) from None
            yield connection


@contextmanager
def _driver_errors() -> Iterator[None]:
    """What the driver raises, as ours: the one place that knows its errors.

    A statement that is wrong in itself is a bug of ours, and stays what it is.
    """
    try:
        yield
    except (exc.IntegrityError, exc.ProgrammingError, exc.DataError, exc.NotSupportedError):
        raise
    except exc.DBAPIError as error:  # locked, full, gone, broken
        raise _unusable(error.orig) from None
    except exc.TimeoutError:
        raise _unusable("all its connections are in use") from None


def _unusable(why: object) -> Unavailable:
    line = " ".join(str(why).split())[:200]
    return Unavailable(f"the provider's books can't be used just now ({line})", "see what holds or fills its database")


def sqlite_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def _keep_private(database: str) -> None:
    """The file is its owner's alone from its first moment; what SQLite puts beside it takes its mode."""
    if database in ("", ":memory:") or database.startswith("file:"):
        return
    with suppress(OSError):  # opening it tells what is wrong with it
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
    for path in (database, f"{database}-wal", f"{database}-shm"):
        with suppress(OSError):
            os.chmod(path, 0o600)


def _durable_sqlite(connection: Any, _record: object) -> None:
    # The driver must not begin transactions by itself: _begin_immediate does.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail if another writer came between: take the lock now.
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _objection(voucher: Voucher, known: tuple[LeaseState, AttoFil, int] | None) -> VoucherRefused | None:
    """Why the books can't take a voucher; `known` is their lease's state, and what is paid."""
    if known is None:
        return VoucherRefused("ended", "this provider has no such lease")
    state, paid, seconds = known
    if not state.lives:
        return VoucherRefused("ended", "the lease doesn't run: nothing more is due")
    if voucher.amount < paid or voucher.seconds < seconds:
        return VoucherRefused("lower", f"{paid} is already paid: sign a higher voucher")
    return None


async def _held(connection: AsyncConnection, lease: LeaseId) -> Held:
    found = await connection.execute(select(books.leases).where(books.leases.c.lease_id == lease))
    row = found.first()
    if row is None:
        raise Closed("this provider has no such lease", "list yours with shale ps")
    return _read(row)


def _read(row: Row[Any]) -> Held:
    order = order_from_json(json.loads(row.order_json))
    lease = Lease(
        OrderHash(row.order_hash),
        LeaseState(row.state),
        AttoFil(int(row.paid)),
        row.seconds,
        EndReason(row.end_reason),
        row.ended_at,
    )
    confirmation = None
    if row.confirmation_json:
        raw = json.loads(row.confirmation_json)
        confirmation = Confirmation(lease.order, raw["acceptance"], AttoFil(int(raw["collateral"])), raw["deadline"])
    voucher = Voucher(lease.id, lease.paid, lease.seconds, row.voucher_signature) if row.voucher_signature else None
    sure = None
    if row.sure_signature:
        sure = Voucher(lease.id, order.price.over(row.sure_seconds), row.sure_seconds, row.sure_signature)
    return Held(
        lease=lease,
        order=order,
        order_signature=row.order_signature,
        mount=row.mount,
        acceptance=Acceptance(lease.order, row.host_key, row.acceptance_deadline),
        acceptance_signature=row.acceptance_signature,
        confirmation=confirmation,
        confirmation_signature=row.confirmation_signature,
        created_at=row.created_at,
        started_at=row.started_at,
        served=row.served,
        voucher=voucher,
        anchor_tx=row.anchor_tx,
        end_anchored=row.end_anchored,
        extra_seconds=row.extra_seconds,
        sure_max=row.sure_max,
        sure_voucher=sure,
    )
