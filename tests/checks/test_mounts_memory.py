"""The mounts suite on the in-memory adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from shale.datasets.checks import Bench, MountsChecks
from shale.datasets.memory import MemoryMounts
from shale.units import Cid


class MemoryBench:
    source, other_source = Path("/cars/one.car"), Path("/cars/two.car")
    root, other_root = Cid("bafyone"), Cid("bafytwo")

    def __init__(self) -> None:
        self.sources = {self.source: self.root, self.other_source: self.other_root}
        self.mounts = MemoryMounts(self.sources)

    def another(self) -> MemoryMounts:
        return MemoryMounts(self.sources, self.mounts.mounted)


class TestMemoryMounts(MountsChecks):
    @pytest.fixture
    def bench(self) -> Bench:
        return MemoryBench()
