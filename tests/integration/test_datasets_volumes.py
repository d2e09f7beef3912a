"""Datasets through real FUSE: what is read, and what is left after anything has died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cars import Sample, pack_sample

from shale.datasets.mountinfo import is_mounted
from shale.datasets.mounts import FuseMounts
from shale.datasets.processes import Process
from shale.errors import Refused
from shale.units import LeaseId

LEASE = LeaseId("0x" + "e1" * 31)


@pytest_asyncio.fixture
async def sample(tmp_path: Path) -> Sample:
    return await pack_sample(tmp_path)


@pytest_asyncio.fixture
async def mounts(tmp_path: Path) -> AsyncIterator[FuseMounts]:
    mounts = FuseMounts(tmp_path / "mounts")
    yield mounts
    await mounts.unmount(LEASE)
    assert nothing_left(tmp_path)


def nothing_left(folder: Path) -> bool:
    kept = list((folder / "mounts").iterdir()) if (folder / "mounts").exists() else []
    return not kept and str(folder) not in Path("/proc/self/mountinfo").read_text()


def process_of(data: Path) -> Process:
    process = Process.of(json.loads((data.parent / "process.json").read_bytes())["pid"])
    assert process is not None
    return process


async def test_the_mount_holds_the_packed_bytes_and_cannot_be_written(mounts: FuseMounts, sample: Sample) -> None:
    data = await mounts.mount(LEASE, sample.car, sample.root)
    for path, expected in sample.files.items():
        assert (data / path).read_bytes() == expected
    with pytest.raises(OSError, match="Read-only"):
        (data / "new").write_text("no")


async def test_the_mount_outlives_the_process_that_made_it(tmp_path: Path, sample: Sample) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from shale.datasets.mounts import FuseMounts\n"
        "folder, lease, car, root = sys.argv[1:]\n"
        "print(asyncio.run(FuseMounts(pathlib.Path(folder)).mount(lease, pathlib.Path(car), root)))\n"
    )
    arguments = [tmp_path / "mounts", LEASE, sample.car, sample.root]
    made = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    after = FuseMounts(tmp_path / "mounts")
    assert list(await after.all()) == [LEASE]
    data = Path(made.stdout.strip())
    assert (data / "readme.txt").read_bytes() == sample.files["readme.txt"]
    await after.unmount(LEASE)
    assert nothing_left(tmp_path)


async def test_a_dead_mount_is_cleared_away(mounts: FuseMounts, sample: Sample, tmp_path: Path) -> None:
    data = await mounts.mount(LEASE, sample.car, sample.root)
    await kill(process_of(data))
    assert is_mounted(data)
    # The kernel may still be cutting the connection at the first look.
    with pytest.raises(OSError, match=r"not connected|connection abort"):
        os.listdir(data)
    assert list(await mounts.all()) == []
    assert nothing_left(tmp_path)


async def test_a_dead_mount_is_mounted_anew(mounts: FuseMounts, sample: Sample) -> None:
    data = await mounts.mount(LEASE, sample.car, sample.root)
    await kill(process_of(data))
    assert await mounts.mount(LEASE, sample.car, sample.root) == data
    assert (data / "readme.txt").read_bytes() == sample.files["readme.txt"]


async def test_a_mount_that_is_in_use_can_be_unmounted(mounts: FuseMounts, sample: Sample, tmp_path: Path) -> None:
    data = await mounts.mount(LEASE, sample.car, sample.root)
    process = process_of(data)
    reader = os.open(data / "train/images.bin", os.O_RDONLY)
    assert os.read(reader, 4)
    await mounts.unmount(LEASE)
    assert nothing_left(tmp_path)
    with suppress(OSError):  # the file system is gone from under it
        os.close(reader)
    assert not process.lives


async def test_unmounting_ends_only_our_own_process(mounts: FuseMounts, sample: Sample) -> None:
    """A pid that belongs to somebody else by now is not ours to end."""
    data = await mounts.mount(LEASE, sample.car, sample.root)
    await kill(process_of(data))
    note = data.parent / "process.json"
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        note.write_text(json.dumps({**json.loads(note.read_bytes()), "pid": stranger.pid}))
        await mounts.unmount(LEASE)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_truncated_car_is_refused_with_the_place(mounts: FuseMounts, sample: Sample, tmp_path: Path) -> None:
    broken = tmp_path / "broken.car"
    broken.write_bytes(sample.car.read_bytes()[:-1000])
    with pytest.raises(Refused, match=r"broken\.car: offset \d+: truncated"):
        await mounts.mount(LEASE, broken, sample.root)
    assert nothing_left(tmp_path)


async def test_a_corrupt_block_is_an_error_never_wrong_bytes(
    mounts: FuseMounts, sample: Sample, tmp_path: Path
) -> None:
    whole = bytearray(sample.car.read_bytes())
    at = whole.index(sample.files["train/images.bin"][:4096])
    whole[at] ^= 1
    corrupt = tmp_path / "corrupt.car"
    corrupt.write_bytes(whole)
    data = await mounts.mount(LEASE, corrupt, sample.root)
    with pytest.raises(OSError, match="Input/output"):
        (data / "train/images.bin").read_bytes()
    assert (data / "readme.txt").read_bytes() == sample.files["readme.txt"]


async def kill(process: Process) -> None:
    """As the machine's memory killer would: at once, with no chance to unmount."""
    os.kill(process.pid, signal.SIGKILL)
    await process.end(30)
