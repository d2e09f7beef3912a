"""The volumes suite on the in-memory adapter."""

from __future__ import annotations

import pytest

from shale.datasets.checks import Bench, VolumesChecks
from shale.datasets.holding import Holding
from shale.datasets.memory import MemoryVolumes
from shale.datasets.volumes import Volumes
from shale.units import Cid


class MemoryBench:
    holding, other = Holding(Cid("bafyone"), ("/cars/one.car",)), Holding(Cid("bafytwo"), ("/cars/two.car",))

    copy = Holding(Cid("bafyone"), ("http://far/piece/one",))

    def __init__(self) -> None:
        self.sources = {holding.sources[0]: holding.root for holding in (self.holding, self.other, self.copy)}
        self.first = MemoryVolumes(self.sources)
        self.volumes: Volumes = self.first

    def another(self) -> MemoryVolumes:
        return MemoryVolumes(self.sources, self.first.mounted)

    async def die(self, root: Cid) -> None:
        self.first.die(root)


class TestMemoryVolumes(VolumesChecks):
    @pytest.fixture
    def bench(self) -> Bench:
        return MemoryBench()
