"""The engine suite on the real Docker Engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.tenants import DockerBench, docker, tiny_image, write_keys

from shale.containers.checks import EngineChecks


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    with tiny_image() as name:
        yield name


class TestDockerEngine(EngineChecks):
    @pytest_asyncio.fixture
    async def bench(self, image: str, tmp_path: Path) -> AsyncIterator[DockerBench]:
        bench = DockerBench(write_keys(tmp_path / "keys"), image)
        yield bench
        await bench.clear()
        label = f"label=org.shale.provider={bench.provider}"
        assert docker("ps", "--all", "--quiet", "--filter", label) == ""
        assert docker("network", "ls", "--quiet", "--filter", label) == ""
