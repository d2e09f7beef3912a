"""Store: the client's leases in SQLite, and the highest amount signed for each, which never falls."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, insert, select, update
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from shale.client import books
from shale.client.books import leases, rental_of, values_of
from shale.client.folders import PAY_KEY_FILE, is_of
from shale.client.rental import Rental, Shell, checked_name
from shale.errors import Closed, ConfigError, InputRefused, Refused, Unavailable
from shale.market.lease import EndReason, Lease, LeaseState
from shale.market.order import PayKey
from shale.paths import Home, private_dir, write_private
from shale.proofs.prover import PaySecret
from shale.units import AttoFil, LeaseId


class Store:
    """The books of one home; every method is one short transaction, durable when it returns.

    Many processes may have it open at once. A living lease has a folder of its own for its secrets; `end` and
    `forget` remove it.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        path = private_dir(home.client) / "leases.sqlite"
        path.touch(mode=0o600)
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _durable)
        event.listen(self._engine, "begin", _begin_immediate)
        with self._begin() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version == 0:
                books.metadata.create_all(connection)
                version = books.VERSION
                connection.exec_driver_sql(f"PRAGMA user_version={version}")
            while version in books.UPGRADES:
                connection.exec_driver_sql(books.UPGRADES[version])
                version += 1
                connection.exec_driver_sql(f"PRAGMA user_version={version}")
            if version != books.VERSION:
                raise ConfigError(
                    f"{path} was written by another version of Shale", "use that version, or another --home"
                )

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except OperationalError as error:
            raise Unavailable(f"the client's books don't open ({error.orig})", "try again") from None
        except IntegrityError:
            raise
        except DatabaseError as error:
            raise ConfigError(
                f"the client's books are broken ({error.orig})", f"move {self._engine.url.database} away"
            ) from None

    @property
    def leases_dir(self) -> Path:
        return self._home.client / "leases"

    def folder(self, name: str) -> Path:
        """Where a living lease keeps its secrets: `gateway_key` and `pay_key.json`."""
        return self.leases_dir / checked_name(name)

    def add(self, rental: Rental) -> None:
        """Keep a new lease. Raises InputRefused when a living one has its name, or the order is known."""
        values = values_of(rental)
        try:
            with self._begin() as connection:
                connection.execute(insert(leases).values(**values))
        except IntegrityError:
            raise InputRefused(
                f"there is a lease named {rental.name} already", "give another --name, or end that one"
            ) from None

    def rentals(self, *, living: bool = False) -> list[Rental]:
        """The leases, oldest first."""
        query = select(leases).order_by(leases.c.created_at, leases.c.lease_id)
        if living:
            query = query.where(leases.c.state.not_in(books.GONE))
        with self._begin() as connection:
            return [rental_of(row) for row in connection.execute(query)]

    def rental(self, name: str) -> Rental:
        """The living lease of that name, else the last one that had it. Raises InputRefused without any."""
        query = (
            select(leases)
            .where(leases.c.name == name)
            .order_by(leases.c.state.in_(books.GONE), leases.c.created_at.desc())
            .limit(1)
        )
        with self._begin() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise InputRefused(f"there is no lease named {name[:64]!r}", "see shale ps --all")
        return rental_of(row)

    def by_id(self, lease: LeaseId) -> Rental:
        with self._begin() as connection:
            return _get(connection, lease)

    def set_shell(self, lease: LeaseId, shell: Shell) -> Rental:
        """The provider has said that the container is ready: the lease runs."""
        return self._move(lease, LeaseState.RUNNING, shell_json=json.dumps(asdict(shell)))

    def set_state(self, lease: LeaseId, state: LeaseState) -> Rental:
        """Move it on; to the state that it has is no move. Raises Closed when there is no such way."""
        return self._move(lease, state)

    def _move(self, lease: LeaseId, state: LeaseState, **values: Any) -> Rental:
        with self._begin() as connection:
            now = _get(connection, lease)
            if now.state is not state:
                _as_lease(now).to(state)
            return _update(connection, lease, state=state.value, **values)

    def raise_paid(self, lease: LeaseId, amount: AttoFil, seconds: int, at: int) -> Rental:
        """Keep that a voucher for this much is about to be signed; it is on the disk when this returns.

        Raises Refused when either would fall, or the amount exceeds the collateral; the same again is fine. Raises
        Closed when the lease has ended: whoever still holds its key signs no more.
        """
        with self._begin() as connection:
            now = _get(connection, lease)
            if now.ended:
                raise Closed(f"the lease {now.name} has ended", "sign nothing more")
            if amount < now.paid or seconds < now.seconds:
                raise Refused(f"{now.paid} for {now.seconds} s was signed before", "never sign a lower voucher")
            if amount > now.collateral:
                raise Refused(f"{amount} exceeds the collateral of {now.collateral}", "end the lease")
            first = now.first_paid_at or at
            return _update(connection, lease, paid=str(amount.value), seconds=seconds, first_paid_at=first)

    def end(self, lease: LeaseId, reason: EndReason, at: int) -> Rental:
        """The lease, ended, its secrets removed; the first reason stays."""
        with self._begin() as connection:
            ended = _as_lease(_get(connection, lease)).end(reason, at)
            why = int(ended.end_reason)
            rental = _update(connection, lease, state=ended.state.value, end_reason=why, ended_at=ended.ended_at)
        self.drop_secrets(rental.name, rental.order.pay_key)
        return rental

    def forget(self, lease: LeaseId) -> None:
        """Drop a lease that never started, with its folder."""
        with self._begin() as connection:
            rental = _get(connection, lease)
            if rental.state not in (LeaseState.ACCEPTED, LeaseState.STARTING) and (
                rental.end_reason is not EndReason.START_FAILED
            ):
                raise Closed(f"the lease is {rental.state.value}", "end it with shale end")
            connection.execute(leases.delete().where(leases.c.lease_id == lease))
        self.drop_secrets(rental.name, rental.order.pay_key)

    def settle(self, lease: LeaseId, paid: AttoFil, seconds: int) -> Rental:
        """What the chain has proven of an ended lease."""
        with self._begin() as connection:
            now = _get(connection, lease)
            if now.state is not LeaseState.SETTLED:
                _as_lease(now).to(LeaseState.SETTLED)
            state, amount = LeaseState.SETTLED.value, str(paid.value)
            return _update(connection, lease, state=state, settled_paid=amount, settled_seconds=seconds)

    def set_fault(self, lease: LeaseId, fault: str) -> Rental:
        """Keep what the provider said of a fault in the dataset."""
        with self._begin() as connection:
            return _update(connection, lease, fault=fault)

    def set_extra_seconds(self, lease: LeaseId, extra_seconds: int) -> Rental:
        """The chain has a higher deposit than was ordered: so much more may be signed."""
        with self._begin() as connection:
            return _update(connection, lease, extra_seconds=extra_seconds)

    def set_reviewed(self, lease: LeaseId) -> Rental:
        with self._begin() as connection:
            return _update(connection, lease, reviewed=True)

    def keep_secrets(self, name: str, gateway_key: bytes, pay_key: PaySecret) -> Path:
        """Write a new lease's secrets into its folder. Raises InputRefused when there is such a folder."""
        folder = self.folder(name)
        private_dir(folder.parent)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            raise InputRefused(f"there is a lease named {name} already", "give another --name") from None
        try:
            raw = {"x": pay_key.public.x, "y": pay_key.public.y, "secret": pay_key.secret}
            write_private(folder / "gateway_key", gateway_key)
            write_private(folder / PAY_KEY_FILE, json.dumps(raw).encode())
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def drop_secrets(self, name: str, pay_key: PayKey) -> None:
        """Remove the folder of the lease or order of this payment key; one that a later namesake has made stays."""
        # In the books' lock: between the look and the removal nobody else may remove it, and a third one make its own.
        with self._begin():
            if is_of(self.folder(name), pay_key):
                shutil.rmtree(self.folder(name), ignore_errors=True)

    def pay_secret(self, name: str) -> PaySecret:
        """A living lease's payment key. Raises ConfigError when its file is gone or broken."""
        path = self.folder(name) / PAY_KEY_FILE
        try:
            raw = json.loads(path.read_text())
            return PaySecret(PayKey(str(raw["x"]), str(raw["y"])), str(raw["secret"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(f"{path} is missing or broken", f"end the lease: shale end {name}") from None


def _durable(connection: Any, _record: object) -> None:
    # The driver must not begin transactions by itself: _begin_immediate does.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    # One that reads first and writes later would fail if another writer came between: take the lock now.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _get(connection: Connection, lease: LeaseId) -> Rental:
    row = connection.execute(select(leases).where(leases.c.lease_id == lease)).first()
    if row is None:
        raise InputRefused("there is no such lease", "see shale ps --all")
    return rental_of(row)


def _update(connection: Connection, lease: LeaseId, **values: Any) -> Rental:
    connection.execute(update(leases).where(leases.c.lease_id == lease).values(**values))
    return _get(connection, lease)


def _as_lease(rental: Rental) -> Lease:
    return Lease(rental.order_hash, rental.state, rental.paid, rental.seconds, rental.end_reason, rental.ended_at)
