"""`shale piece mount` whose kernel process is killed: the place is free again, and so it is for the next."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.cars import Sample, pack_sample

from shale.paths import binary

SHALE = Path(sys.executable).with_name("shale")


@pytest.fixture
async def sample(tmp_path: Path) -> Sample:
    return await pack_sample(tmp_path)


@pytest.fixture
def point(tmp_path: Path) -> Path:
    folder = tmp_path / "mnt"
    folder.mkdir()
    return folder


@asynccontextmanager
async def mounting(sample: Sample, point: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, once it has mounted."""
    process = await asyncio.create_subprocess_exec(
        SHALE, "piece", "mount", sample.car, point, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        line = await asyncio.wait_for(process.stderr.readline(), 60)
        assert b"mounted at" in line, line
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


async def test_a_mount_whose_process_is_killed_leaves_a_plain_folder(sample: Sample, point: Path) -> None:
    async with mounting(sample, point) as command:
        assert (point / "readme.txt").read_bytes() == sample.files["readme.txt"]
        os.kill(child_of(command.pid), signal.SIGKILL)
        _, told = await asyncio.wait_for(command.communicate(), 60)
        assert command.returncode == 1
        assert b"mount ended with status -9" in told
        assert list(point.iterdir()) == []


async def test_a_mount_that_is_somebody_elses_stays(sample: Sample, point: Path) -> None:
    async with mounting(sample, point):
        again = subprocess.run([SHALE, "piece", "mount", sample.car, point], capture_output=True, check=False)
        assert again.returncode == 1
        assert b"a dataset is mounted here already" in again.stderr
        assert (point / "readme.txt").read_bytes() == sample.files["readme.txt"]


async def test_the_next_command_takes_the_place_of_a_dead_mount(sample: Sample, point: Path) -> None:
    dead = await asyncio.create_subprocess_exec(
        binary("shale-kernel"), "mount", "--source", sample.car, "--dir", point, stdout=asyncio.subprocess.PIPE
    )
    assert dead.stdout is not None
    assert b"ready" in await asyncio.wait_for(dead.stdout.readline(), 60)
    point.stat()  # what it answers is kept for a day
    dead.kill()
    await dead.wait()
    with pytest.raises(OSError, match="not connected"):
        list(point.iterdir())
    async with mounting(sample, point):
        assert (point / "readme.txt").read_bytes() == sample.files["readme.txt"]
    assert list(point.iterdir()) == []
