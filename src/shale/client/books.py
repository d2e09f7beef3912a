"""Books: the client's table of leases, and how a row and a `Rental` become each other."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    text,
)

from shale.client.rental import Gateway, Rental, Shell, checked_name
from shale.errors import ConfigError, ShaleError
from shale.market.lease import EndReason, LeaseState
from shale.market.order import Acceptance, order_from_json, order_to_json
from shale.units import AttoFil, OrderHash

VERSION = 3
"""Of the tables, kept in `PRAGMA user_version`: a later one is refused, not guessed at."""
UPGRADES = {
    1: "ALTER TABLE leases ADD COLUMN fault TEXT NOT NULL DEFAULT ''",
    2: "ALTER TABLE leases ADD COLUMN extra_seconds BIGINT NOT NULL DEFAULT 0",
}
"""What makes the next version of an earlier one."""

GONE = (LeaseState.ENDED.value, LeaseState.SETTLED.value)
metadata = MetaData()

leases = Table(
    "leases",
    metadata,
    Column("lease_id", String(64), primary_key=True),
    Column("name", String(40), nullable=False),
    Column("network", String(64), nullable=False),
    Column("order_hash", String(66), nullable=False),
    Column("order_json", Text, nullable=False),
    Column("order_signature", Text, nullable=False),
    Column("host_key", Text, nullable=False),
    Column("acceptance_deadline", BigInteger, nullable=False),
    Column("acceptance_signature", Text, nullable=False),
    Column("provider_name", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("gateway_json", Text, nullable=False),
    Column("shell_json", Text, nullable=False, default=""),
    Column("mount", Text, nullable=False),
    Column("ssh_key", Text, nullable=False),
    Column("state", String(16), nullable=False),
    # Amounts are decimal text: they exceed 64 bits, and a float would lose money.
    Column("paid", String(32), nullable=False, default="0"),
    Column("seconds", BigInteger, nullable=False, default=0),
    Column("end_reason", Integer, nullable=False, default=0),
    Column("created_at", BigInteger, nullable=False),
    Column("first_paid_at", BigInteger, nullable=False, default=0),
    Column("ended_at", BigInteger, nullable=False, default=0),
    Column("settled_paid", String(32), nullable=True),
    Column("settled_seconds", BigInteger, nullable=True),
    Column("reviewed", Boolean, nullable=False, default=False),
    Column("fault", Text, nullable=False, server_default=""),
    # By how much the lease was topped up.
    Column("extra_seconds", BigInteger, nullable=False, server_default="0"),
    Index("living_names", "name", unique=True, sqlite_where=text("state NOT IN ('ended', 'settled')")),
)


def values_of(rental: Rental) -> dict[str, Any]:
    return {
        "lease_id": rental.id,
        "name": checked_name(rental.name),
        "network": rental.network,
        "order_hash": rental.order_hash,
        "order_json": json.dumps(order_to_json(rental.order)),
        "order_signature": rental.order_signature,
        "host_key": rental.acceptance.host_key,
        "acceptance_deadline": rental.acceptance.deadline,
        "acceptance_signature": rental.acceptance_signature,
        "provider_name": rental.provider_name,
        "endpoint": rental.endpoint,
        "gateway_json": json.dumps(asdict(rental.gateway)),
        "shell_json": json.dumps(asdict(rental.shell)) if rental.shell else "",
        "mount": rental.mount,
        "ssh_key": rental.ssh_key,
        "state": rental.state.value,
        "paid": str(rental.paid.value),
        "seconds": rental.seconds,
        "end_reason": int(rental.end_reason),
        "created_at": rental.created_at,
        "first_paid_at": rental.first_paid_at,
        "ended_at": rental.ended_at,
        "settled_paid": None if rental.settled_paid is None else str(rental.settled_paid.value),
        "settled_seconds": rental.settled_seconds,
        "reviewed": rental.reviewed,
        "fault": rental.fault,
        "extra_seconds": rental.extra_seconds,
    }


def rental_of(row: Row[Any]) -> Rental:
    try:
        return _read(row)
    except (ValueError, KeyError, TypeError, ShaleError):
        raise ConfigError(
            f"the books of lease {row.name!r} are broken", "restore leases.sqlite of the client's folder"
        ) from None


def _read(row: Row[Any]) -> Rental:
    order_hash = OrderHash(row.order_hash)
    return Rental(
        name=row.name,
        network=row.network,
        order=order_from_json(json.loads(row.order_json)),
        order_hash=order_hash,
        order_signature=row.order_signature,
        acceptance=Acceptance(order_hash, row.host_key, row.acceptance_deadline),
        acceptance_signature=row.acceptance_signature,
        provider_name=row.provider_name,
        endpoint=row.endpoint,
        gateway=Gateway(**json.loads(row.gateway_json)),
        shell=Shell(**json.loads(row.shell_json)) if row.shell_json else None,
        mount=row.mount,
        ssh_key=row.ssh_key,
        state=LeaseState(row.state),
        paid=AttoFil(int(row.paid)),
        seconds=row.seconds,
        end_reason=EndReason(row.end_reason),
        created_at=row.created_at,
        first_paid_at=row.first_paid_at,
        ended_at=row.ended_at,
        settled_paid=None if row.settled_paid is None else AttoFil(int(row.settled_paid)),
        settled_seconds=row.settled_seconds,
        reviewed=bool(row.reviewed),
        fault=row.fault,
        extra_seconds=row.extra_seconds,
    )
