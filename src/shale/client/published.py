"""Published: an order that its client writes to the chain, kept beside the lease's keys until the lease runs.

The chain has only hashes of what was ordered: without this file nobody could accept or confirm it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from shale.client.folders import ORDER_FILE
from shale.client.rental import Gateway, Rental, checked_name, new_rental
from shale.client.store import Store
from shale.errors import ConfigError, InputRefused, ShaleError
from shale.market.order import Acceptance, Order, order_from_json, order_to_json
from shale.paths import write_private
from shale.units import LeaseId, OrderHash, lease_id_of

MAX_FILE = 64 << 10


@dataclass(frozen=True, slots=True)
class PublishedOrder:
    """`acceptance` is what the provider has answered; None before. `ssh_key` is as a lease has it."""

    name: str
    network: str
    order: Order
    order_hash: OrderHash
    provider_name: str
    endpoint: str
    gateway: Gateway
    mount: str
    ssh_key: str
    created_at: int
    acceptance: Acceptance | None = None
    acceptance_signature: str = ""

    @property
    def id(self) -> LeaseId:
        return lease_id_of(self.order_hash)

    @property
    def deadline(self) -> int:
        """Until when the next step can be made: the acceptance, or the confirmation."""
        return self.acceptance.deadline if self.acceptance else self.order.deadline

    def rental(self, acceptance: Acceptance, at: int) -> Rental:
        """The lease that it becomes."""
        return new_rental(
            name=self.name,
            network=self.network,
            order=self.order,
            order_signature="",
            acceptance=acceptance,
            acceptance_signature=self.acceptance_signature,
            provider_name=self.provider_name,
            endpoint=self.endpoint,
            gateway=self.gateway,
            mount=self.mount,
            ssh_key=self.ssh_key,
            at=at,
        )


def keep(store: Store, published: PublishedOrder) -> None:
    """Write it beside its keys; durable when this returns."""
    raw = {
        "name": published.name,
        "network": published.network,
        "order": order_to_json(published.order),
        "order_hash": published.order_hash,
        "provider_name": published.provider_name,
        "endpoint": published.endpoint,
        "gateway": asdict(published.gateway),
        "mount": published.mount,
        "ssh_key": published.ssh_key,
        "created_at": published.created_at,
        "acceptance": None,
    }
    if published.acceptance is not None:
        answer = {"host_key": published.acceptance.host_key, "deadline": published.acceptance.deadline}
        raw["acceptance"] = answer | {"signature": published.acceptance_signature}
    write_private(store.folder(published.name) / ORDER_FILE, json.dumps(raw).encode())


def begun(store: Store, name: str) -> None:
    """It is a lease that runs: the books have all of it."""
    (store.folder(name) / ORDER_FILE).unlink(missing_ok=True)


def every(store: Store) -> list[PublishedOrder]:
    """Those that no lease has come of yet, oldest first."""
    found = [_read(path) for path in sorted(store.leases_dir.glob(f"*/{ORDER_FILE}"))]
    return sorted(found, key=lambda published: published.created_at)


def find(store: Store, text: str) -> PublishedOrder:
    """By its name, its lease id, or the id's beginning. Raises InputRefused."""
    known = every(store)
    fits = [one for one in known if one.name == text]
    if not fits and text.startswith("0x") and len(text) >= 6:
        fits = [one for one in known if one.id.startswith(text.lower())]
    if len(fits) != 1:
        what = "no order" if not fits else "more than one order"
        raise InputRefused(f"there is {what} {text[:66]!r}", "see shale order ls")
    return fits[0]


def _read(path: Path) -> PublishedOrder:
    try:
        with path.open("rb") as handle:
            raw = json.loads(handle.read(MAX_FILE))
        order_hash, acceptance, signature = OrderHash(raw["order_hash"]), None, ""
        if raw["acceptance"] is not None:
            answer = raw["acceptance"]
            acceptance, signature = Acceptance(order_hash, answer["host_key"], answer["deadline"]), answer["signature"]
        return PublishedOrder(
            name=checked_name(raw["name"]),
            network=raw["network"],
            order=order_from_json(raw["order"]),
            order_hash=order_hash,
            provider_name=raw["provider_name"],
            endpoint=raw["endpoint"],
            gateway=Gateway(**raw["gateway"]),
            mount=raw["mount"],
            ssh_key=raw["ssh_key"],
            created_at=raw["created_at"],
            acceptance=acceptance,
            acceptance_signature=signature,
        )
    except (OSError, ValueError, KeyError, TypeError, ShaleError):
        raise ConfigError(f"{path} is broken", "restore it from your backup, or remove its folder") from None
