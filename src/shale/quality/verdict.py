"""Verdict: what a probe concludes, and the policy by which verdicts withhold the next voucher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Status(Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`measurements` are whole numbers named with their unit, such as rtt_us; `at` is Unix seconds."""

    probe: str
    status: Status
    detail: str
    at: int
    measurements: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "probe": self.probe,
            "status": self.status.value,
            "detail": self.detail,
            "at": self.at,
            "measurements": dict(self.measurements),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Verdict:
        return cls(raw["probe"], Status(raw["status"]), raw["detail"], raw["at"], raw["measurements"])


@dataclass(frozen=True, slots=True)
class Policy:
    """`fails` failures of one probe in a row withhold vouchers, until that probe succeeds again."""

    fails: int = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """How each probe of a session stands: its failures in a row, and its last verdict."""

    failures: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, Verdict] = field(default_factory=dict)

    def after(self, verdict: Verdict) -> Standing:
        count = self.failures.get(verdict.probe, 0) + 1 if verdict.status is Status.FAIL else 0
        return Standing({**self.failures, verdict.probe: count}, {**self.last, verdict.probe: verdict})

    def withheld(self, policy: Policy) -> Verdict | None:
        """The verdict that withholds the next voucher; None if it may be paid."""
        for probe, count in self.failures.items():
            if count >= policy.fails:
                return self.last[probe]
        return None

    @property
    def worst(self) -> Verdict | None:
        """The verdict to show: a failing one before a warning before the newest."""
        order = {Status.FAIL: 2, Status.WARN: 1, Status.OK: 0}
        return max(self.last.values(), key=lambda verdict: (order[verdict.status], verdict.at), default=None)
