"""Hooks that a plugin of the entry-point group `shale.plugins` may implement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pluggy

from shale.quality.verdict import Verdict

spec = pluggy.HookspecMarker("shale")
impl = pluggy.HookimplMarker("shale")


@dataclass(frozen=True, slots=True)
class Session:
    """A running lease as a probe may reach it: `ssh -F ssh_config host`; `gateway` and `address` for a raw channel."""

    name: str
    host: str
    gateway: str
    address: str
    port: int
    ssh_config: Path


class Probe(Protocol):
    """Measures a session every `interval` seconds; one run may take `timeout` seconds, and counts as failed then."""

    name: str
    interval: float
    timeout: float

    async def run(self, session: Session) -> Verdict: ...


@spec
def shale_probes() -> Sequence[Probe]:
    """Give the probes that the client's agent runs in each of its leases."""
    raise NotImplementedError
