"""The mounts suite on the kernel's FUSE."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.cars import Sample, pack_sample

from shale.datasets.checks import MountsChecks
from shale.datasets.mounts import FuseMounts


class FuseBench:
    def __init__(self, folder: Path, one: Sample, two: Sample) -> None:
        self.folder = folder
        self.source, self.root = one.car, one.root
        self.other_source, self.other_root = two.car, two.root
        self.mounts = self.another()

    def another(self) -> FuseMounts:
        return FuseMounts(self.folder)


class TestFuseMounts(MountsChecks):
    @pytest_asyncio.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[FuseBench]:
        bench = FuseBench(tmp_path / "mounts", await pack_sample(tmp_path), await pack_sample(tmp_path, 2))
        yield bench
        for lease in await bench.mounts.all():
            await bench.mounts.unmount(lease)
        assert str(bench.folder) not in Path("/proc/self/mountinfo").read_text()
        assert not bench.folder.exists() or list(bench.folder.iterdir()) == []
