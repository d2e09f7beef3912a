"""LeaseView: one lease as `watch`, `ps` and `agent status` show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shale.quality.verdict import Verdict
from shale.units import AttoFil, LeaseId, Price


@dataclass(frozen=True, slots=True)
class LeaseView:
    """Amounts exact; `cpu_millis` and `memory_bytes` as the provider's last reading says; `note` the last notice.

    `fault` is the last that the provider said of a fault in the dataset: it stays.
    """

    name: str
    lease_id: LeaseId
    state: str
    elapsed_seconds: int
    paid: AttoFil
    price: Price
    collateral: AttoFil
    seconds: int
    tick: int
    verdict: Verdict | None
    cpu_millis: int
    memory_bytes: int
    end_reason: str
    connected: bool
    note: str
    fault: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "lease_id": self.lease_id,
            "state": self.state,
            "elapsed_seconds": self.elapsed_seconds,
            "paid_attofil": str(self.paid.value),
            "price_attofil_per_second": str(self.price.per_second.value),
            "collateral_attofil": str(self.collateral.value),
            "seconds": self.seconds,
            "tick": self.tick,
            "verdict": self.verdict.to_json() if self.verdict else None,
            "cpu_millis": self.cpu_millis,
            "memory_bytes": self.memory_bytes,
            "end_reason": self.end_reason,
            "connected": self.connected,
            "note": self.note,
            "fault": self.fault,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> LeaseView:
        return cls(
            name=raw["name"],
            lease_id=LeaseId(raw["lease_id"]),
            state=raw["state"],
            elapsed_seconds=raw["elapsed_seconds"],
            paid=AttoFil(int(raw["paid_attofil"])),
            price=Price(AttoFil(int(raw["price_attofil_per_second"]))),
            collateral=AttoFil(int(raw["collateral_attofil"])),
            seconds=raw["seconds"],
            tick=raw["tick"],
            verdict=Verdict.from_json(raw["verdict"]) if raw["verdict"] else None,
            cpu_millis=raw["cpu_millis"],
            memory_bytes=raw["memory_bytes"],
            end_reason=raw["end_reason"],
            connected=raw["connected"],
            note=raw["note"],
            fault=raw.get("fault", ""),
        )
