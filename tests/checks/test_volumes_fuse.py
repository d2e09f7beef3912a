"""The volumes suite on the kernel's FUSE."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.cars import Sample, pack_sample

from shale.datasets.checks import VolumesChecks
from shale.datasets.fuse import FuseVolumes
from shale.datasets.holding import Holding
from shale.datasets.place import Place
from shale.datasets.volumes import Volumes
from shale.units import Cid


class FuseBench:
    def __init__(self, folder: Path, one: Sample, two: Sample) -> None:
        self.folder = folder
        self.holding, self.other = one.holding, two.holding
        again = one.car.with_suffix(".again.car")
        shutil.copy(one.car, again)
        self.copy = Holding(one.root, (str(again),))
        self.opened: list[FuseVolumes] = []
        self.volumes: Volumes = self.another()

    def another(self) -> FuseVolumes:
        self.opened.append(FuseVolumes(self.folder))
        return self.opened[-1]

    async def die(self, root: Cid) -> None:
        process = Place(self.folder / root).process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)


class TestFuseVolumes(VolumesChecks):
    @pytest_asyncio.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[FuseBench]:
        bench = FuseBench(tmp_path / "mounts", await pack_sample(tmp_path), await pack_sample(tmp_path, 2))
        yield bench
        for root, holders in (await bench.volumes.holders()).items():
            for holder in holders:
                await bench.volumes.release(root, holder)
        for volumes in bench.opened:
            await volumes.close()
        assert str(bench.folder) not in Path("/proc/self/mountinfo").read_text()
        assert not bench.folder.exists() or list(bench.folder.iterdir()) == []
