"""Datasets through real FUSE: what is read, what is told, and what is left after anything has died."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cars import Sample, pack_sample
from tests.servers import hanging

from shale.datasets import kernel
from shale.datasets.fuse import FuseVolumes
from shale.datasets.holding import Holding
from shale.datasets.mountinfo import is_mounted
from shale.datasets.place import Place
from shale.datasets.processes import Process, named
from shale.datasets.volumes import Fault, release_everywhere
from shale.errors import Refused
from shale.units import Cid

WHO = "lease:one"


@pytest_asyncio.fixture
async def sample(tmp_path: Path) -> Sample:
    return await pack_sample(tmp_path)


@pytest_asyncio.fixture
async def volumes(tmp_path: Path) -> AsyncIterator[FuseVolumes]:
    volumes = FuseVolumes(tmp_path / "mounts")
    yield volumes
    for root, holders in (await volumes.holders()).items():
        for holder in holders:
            await volumes.release(root, holder)
    await volumes.close()
    assert nothing_left(tmp_path)


def nothing_left(folder: Path) -> bool:
    kept = list((folder / "mounts").iterdir()) if (folder / "mounts").exists() else []
    running = [pid for pid in Path("/proc").glob("[0-9]*/cmdline") if os.fsencode(folder) in _read(pid)]
    return not kept and not running and str(folder) not in Path("/proc/self/mountinfo").read_text()


def _read(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""


def process_of(volumes: FuseVolumes, sample: Sample) -> Process:
    process = Place(volumes.place(sample.root).parent).process
    assert process is not None
    return process


def corrupted(sample: Sample, folder: Path) -> Holding:
    """The dataset with one byte of its largest file flipped."""
    whole = bytearray(sample.car.read_bytes())
    whole[whole.index(sample.files["train/images.bin"][:4096])] ^= 1
    (folder / "corrupt.car").write_bytes(whole)
    return Holding(sample.root, (str(folder / "corrupt.car"),))


async def test_the_mount_holds_the_packed_bytes_and_cannot_be_written(volumes: FuseVolumes, sample: Sample) -> None:
    data = await volumes.hold(sample.holding, WHO) / "data"
    for path, expected in sample.files.items():
        assert (data / path).read_bytes() == expected
    with pytest.raises(OSError, match="Read-only"):
        (data / "new").write_text("no")


async def test_what_proves_the_dataset_stands_beside_it(volumes: FuseVolumes, sample: Sample) -> None:
    proofs = await volumes.hold(sample.holding, WHO) / "proofs"
    assert (proofs / "blocks" / sample.root).read_bytes() in sample.car.read_bytes()


async def test_a_mount_that_cannot_use_its_index_says_so_and_shows_the_proof_as_long_as_there_is_one(
    volumes: FuseVolumes, sample: Sample, tmp_path: Path
) -> None:
    told: list[Fault] = []
    volumes.on_fault = told.append
    index = tmp_path / "index"
    await kernel.index([sample.car], index)
    proof = volumes.place(sample.root) / "proofs" / "piece.json"
    await volumes.hold(replace(sample.holding, index=index), WHO)
    assert (proof.exists(), told) == (True, [])
    await volumes.release(sample.root, WHO)
    os.utime(sample.car, (1, 1))  # as it is when its file changed elsewhere
    await volumes.hold(replace(sample.holding, index=index), WHO)
    assert proof.exists()
    await volumes.release(sample.root, WHO)
    index.write_bytes(index.read_bytes()[:-1])
    await volumes.hold(replace(sample.holding, index=index), WHO)
    assert not proof.exists()
    assert [(fault.kind, fault.sources) for fault in told] == [("index", (str(sample.car),))] * 2
    assert "has changed since" in told[0].message
    assert "checksum" in told[1].message


async def test_the_mount_outlives_the_process_that_made_it(tmp_path: Path, sample: Sample) -> None:
    script = (
        "import asyncio, os, pathlib, signal, sys\n"
        "from shale.datasets.fuse import FuseVolumes\n"
        "from shale.datasets.holding import Holding\n"
        "folder, root, car, who = sys.argv[1:]\n"
        "print(asyncio.run(FuseVolumes(pathlib.Path(folder)).hold(Holding(root, (car,)), who)), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    arguments = [str(tmp_path / "mounts"), sample.root, str(sample.car), WHO]
    made = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    after = FuseVolumes(tmp_path / "mounts")
    assert await after.holders() == {sample.root: {WHO}}
    data = Path(made.stdout.strip()) / "data"
    assert (data / "readme.txt").read_bytes() == sample.files["readme.txt"]
    await after.release(sample.root, WHO)
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("first_byte", [False, True])
async def test_a_dataset_whose_server_hangs_holds_up_no_other(
    volumes: FuseVolumes, sample: Sample, tmp_path: Path, first_byte: bool
) -> None:
    other = await pack_sample(tmp_path, 2)
    async with hanging(first_byte=first_byte) as url:
        stuck = asyncio.create_task(volumes.hold(Holding(other.root, (url,)), WHO))
        place = Place(volumes.place(other.root).parent)
        while first_byte and place.process is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            await volumes.hold(sample.holding, WHO)
            assert await volumes.holders() == {sample.root: {WHO}}
            await release_everywhere(volumes, WHO)
            assert await volumes.holders() == {}
        assert not stuck.done()
        stuck.cancel()
        await asyncio.wait([stuck])
    assert nothing_left(tmp_path)


async def test_a_process_that_nobody_noted_is_found_and_ended(
    volumes: FuseVolumes, sample: Sample, tmp_path: Path
) -> None:
    """The daemon was killed between the start of the mount and its note."""
    view = await volumes.hold(sample.holding, WHO)
    await volumes.close()
    (view.parent / "process.json").unlink()
    [orphan] = named("shale-kernel", str(view))
    after = FuseVolumes(tmp_path / "mounts")
    told: list[Fault] = []
    after.on_fault = told.append
    assert await after.holders() == {}
    assert [(fault.kind, fault.holders) for fault in told] == [("gone", frozenset({WHO}))]
    assert not orphan.lives
    assert nothing_left(tmp_path)


async def test_a_mount_that_died_while_no_daemon_ran_is_cleared_and_told(
    volumes: FuseVolumes, sample: Sample, tmp_path: Path
) -> None:
    view = await volumes.hold(sample.holding, WHO)
    await volumes.close()
    process = process_of(volumes, sample)
    os.kill(process.pid, signal.SIGKILL)
    await process.end(30)
    assert is_mounted(view)
    # The kernel may still be cutting the connection at the first look.
    with pytest.raises(OSError, match=r"not connected|connection abort"):
        os.listdir(view)
    after = FuseVolumes(tmp_path / "mounts")
    told: list[Fault] = []
    after.on_fault = told.append
    assert await after.holders() == {}
    assert [(fault.kind, fault.holders) for fault in told] == [("gone", frozenset({WHO}))]
    assert nothing_left(tmp_path)


async def test_a_mount_that_is_in_use_can_be_released(volumes: FuseVolumes, sample: Sample, tmp_path: Path) -> None:
    data = await volumes.hold(sample.holding, WHO) / "data"
    process = process_of(volumes, sample)
    reader = os.open(data / "train/images.bin", os.O_RDONLY)
    assert os.read(reader, 4)
    await volumes.release(sample.root, WHO)
    assert nothing_left(tmp_path)
    with suppress(OSError):  # the file system is gone from under it
        os.close(reader)
    assert not process.lives


async def test_releasing_ends_only_our_own_process(volumes: FuseVolumes, sample: Sample) -> None:
    """A pid that belongs to somebody else by now is not ours to end."""
    view = await volumes.hold(sample.holding, WHO)
    await volumes.close()
    process = process_of(volumes, sample)
    note = view.parent / "process.json"
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        note.write_text(json.dumps({**json.loads(note.read_bytes()), "pid": stranger.pid}))
        await volumes.release(sample.root, WHO)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        await process.end(30)


async def test_a_truncated_car_is_refused_with_the_place(volumes: FuseVolumes, sample: Sample, tmp_path: Path) -> None:
    broken = tmp_path / "broken.car"
    broken.write_bytes(sample.car.read_bytes()[:-1000])
    with pytest.raises(Refused, match=r"broken\.car: offset \d+: truncated"):
        await volumes.hold(Holding(sample.root, (str(broken),)), WHO)
    assert nothing_left(tmp_path)


async def test_a_root_that_leads_out_of_the_folder_is_refused(volumes: FuseVolumes, sample: Sample) -> None:
    for root in ("../../etc", "", "a/b", "x" * 200):
        with pytest.raises(Refused, match="root CID"):
            await volumes.hold(replace(sample.holding, root=Cid(root)), WHO)


async def test_a_corrupt_block_is_an_error_for_its_reader_and_told(
    volumes: FuseVolumes, sample: Sample, tmp_path: Path
) -> None:
    told: asyncio.Queue[Fault] = asyncio.Queue()
    volumes.on_fault = told.put_nowait
    data = await volumes.hold(corrupted(sample, tmp_path), WHO) / "data"
    with pytest.raises(OSError, match="Input/output"):
        await asyncio.to_thread((data / "train/images.bin").read_bytes)
    assert (data / "readme.txt").read_bytes() == sample.files["readme.txt"]
    fault = await asyncio.wait_for(told.get(), 30)
    assert (fault.root, fault.kind, fault.path) == (sample.root, "corrupt", "train/images.bin")
    at = sample.car.read_bytes().index(sample.files["train/images.bin"][:4096])
    assert fault.offset == at
    assert str(fault) == f"dataset fault at train/images.bin, offset {at} of the piece: corrupt block"


async def test_a_piece_that_was_replaced_and_checked_is_taken_up(
    volumes: FuseVolumes, sample: Sample, tmp_path: Path
) -> None:
    holding = corrupted(sample, tmp_path)
    told: asyncio.Queue[Fault] = asyncio.Queue()
    volumes.on_fault = told.put_nowait
    file = await volumes.hold(holding, WHO) / "data" / "train/images.bin"
    with pytest.raises(OSError, match="Input/output"):
        await asyncio.to_thread(file.read_bytes)
    assert (await asyncio.wait_for(told.get(), 30)).kind == "corrupt"
    copy = tmp_path / "copy.car"
    copy.write_bytes(sample.car.read_bytes())
    copy.replace(holding.sources[0])
    assert (await asyncio.wait_for(told.get(), 30)).kind == "changed"
    volumes.look_anew(sample.root, holding.sources)
    async with asyncio.timeout(30):
        while True:
            with suppress(OSError):
                assert await asyncio.to_thread(file.read_bytes) == sample.files["train/images.bin"]
                break


async def test_a_fault_is_told_to_the_daemon_that_comes_after_it(
    volumes: FuseVolumes, sample: Sample, tmp_path: Path
) -> None:
    data = await volumes.hold(corrupted(sample, tmp_path), WHO) / "data"
    await volumes.close()
    with pytest.raises(OSError, match="Input/output"):
        await asyncio.to_thread((data / "train/images.bin").read_bytes)
    after = FuseVolumes(tmp_path / "mounts")
    told: asyncio.Queue[Fault] = asyncio.Queue()
    after.on_fault = told.put_nowait
    assert await after.holders() == {sample.root: {WHO}}
    assert (await asyncio.wait_for(told.get(), 30)).kind == "corrupt"
    await after.release(sample.root, WHO)
    await after.close()
