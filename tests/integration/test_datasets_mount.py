"""`shale piece mount` whose kernel process is killed: the place is free again, and so it is for the next."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.cars import Sample, pack_sample

from shale.paths import binary

NOBODY = 65534
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


async def test_a_mount_that_is_ended_as_it_says_ends_well(sample: Sample, point: Path) -> None:
    async with mounting(sample, point) as command:
        command.send_signal(signal.SIGINT)
        _, told = await asyncio.wait_for(command.communicate(), 60)
    assert command.returncode == 0
    assert told.decode() == f"unmounted {point}\n"
    assert not point.is_mount()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
@pytest.mark.parametrize("proofs", [False, True], ids=["by hand", "for containers"])
async def test_who_may_not_share_a_mount_has_it_alone_or_is_told_why(sample: Sample, proofs: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "fuse.conf").write_text("#user_allow_other\n")
        shutil.copy(binary("shale-kernel"), place / "shale-kernel")
        shutil.copy(sample.car, place / "d.car")
        (place / "mnt").mkdir()
        os.chown(place / "mnt", NOBODY, NOBODY)
        # In a name space of its own the machine has another fuse.conf, and /dev/fuse is for all.
        os.mknod(place / "fuse", 0o666 | stat.S_IFCHR, Path("/dev/fuse").stat().st_rdev)
        (place / "fuse").chmod(0o666)
        words = f"mount --bind {place}/fuse /dev/fuse && mount --bind {place}/fuse.conf /etc/fuse.conf && "
        words += f"exec setpriv --reuid {NOBODY} --clear-groups"
        words += f" {place}/shale-kernel mount --source {place}/d.car --dir {place}/mnt --while-stdin"
        process = await asyncio.create_subprocess_exec(
            *["unshare", "--mount", "sh", "-c", f"{words} {'--proofs' if proofs else '--alone'}"],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        async with asyncio.timeout(60):
            lines = [await process.stdout.readline(), await process.stdout.readline()]
            process.stdin.close()
            _, errors = await process.communicate()
    said = [json.loads(line) for line in lines if line]
    if proofs:
        assert said == []
        assert b"have root add the line user_allow_other to /etc/fuse.conf" in errors
    else:
        assert [event["event"] for event in said] == ["alone", "ready"], errors
        assert "user_allow_other" in said[0]["message"]
