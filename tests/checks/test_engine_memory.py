"""The engine suite on the in-memory adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from shale.containers.checks import Bench, EngineChecks
from shale.containers.engine import ContainerSpec
from shale.containers.memory import MemoryEngine
from shale.market.resources import Resources
from shale.units import LeaseId


class MemoryBench:
    def __init__(self) -> None:
        self.engine = MemoryEngine("ours")

    def spec(self, lease: LeaseId) -> ContainerSpec:
        nowhere = Path("/nowhere")
        return ContainerSpec(lease, "quiet-lake", "shale/base:latest", Resources(500, 2**26), nowhere, nowhere)

    def another(self) -> MemoryEngine:
        return MemoryEngine("ours", self.engine.host)

    def strangers(self) -> MemoryEngine:
        return MemoryEngine("theirs", self.engine.host)

    async def exit_inside(self, lease: LeaseId, code: int) -> None:
        self.engine.host.exit(lease, code)


class TestMemoryEngine(EngineChecks):
    @pytest.fixture
    def bench(self) -> Bench:
        return MemoryBench()
