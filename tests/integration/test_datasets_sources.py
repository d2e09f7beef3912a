"""Datasets in sectors and behind URLs, through the kernel's wrappers and through `shale piece`."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cars import Sample, list_files, pack_sample
from tests.servers import served

from shale.datasets import kernel, sources
from shale.datasets.mountinfo import is_mounted
from shale.datasets.processes import named
from shale.errors import Refused


def shale(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    program = Path(sys.executable).with_name("shale")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, check=False, timeout=120)


async def in_sector(folder: Path) -> tuple[Sample, sources.Padded]:
    sample = await pack_sample(folder)
    return sample, await sources.pad(sample.car, folder / "s-t01000-1", "8MiB", "4MiB")


async def test_a_dataset_in_a_sector_is_listed_and_read(tmp_path: Path) -> None:
    sample, padded = await in_sector(tmp_path)
    assert {file.path: file.size for file in await list_files(padded.source)} == {
        path: len(data) for path, data in sample.files.items()
    }
    assert (await kernel.commp(padded.source)).v1 == sample.piece
    out = tmp_path / "back.car"
    assert await sources.unpad(padded.source, out) == sources.Unpadded(padded.raw_size, 0)
    assert out.read_bytes() == sample.car.read_bytes()


async def test_a_dataset_behind_a_url_is_listed_and_verified(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    with served(sample.car) as url:
        assert [file.path for file in await list_files(url)] == sorted(sample.files)
        verdict = await sources.verify(url, sample.piece)
    assert verdict.ok
    assert verdict.piece_ok


async def test_a_server_that_ignores_range_is_refused(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    with served(sample.car, ranges=False) as url, pytest.raises(Refused, match="ignores Range"):
        await list_files(url)


async def test_an_inspection_tells_of_sector_root_and_problems(tmp_path: Path) -> None:
    sample, padded = await in_sector(tmp_path)
    found = await sources.inspect(padded.source)
    assert (found.format, found.root, found.sector_size, found.problems) == ("car-v1", sample.root, 8 << 20, ())
    assert found.unsealed == (sources.Extent(4 << 20, padded.size),)
    elsewhere = await sources.inspect(f"sector:{tmp_path / 's-t01000-1'}?offset=0&size=4MiB")
    assert [problem.offset for problem in elsewhere.problems] == [0]
    with pytest.raises(Refused, match="no such file"):
        await sources.inspect(tmp_path / "none")


async def test_a_corrupt_block_is_found_with_its_offset(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    data = bytearray(sample.car.read_bytes())
    at = data.index(sample.files["readme.txt"])
    data[at] ^= 1
    sample.car.write_bytes(data)
    told: list[tuple[int, int]] = []
    verdict = await sources.verify(sample.car, sample.piece, progress=lambda done, total: told.append((done, total)))
    assert not verdict.ok
    assert verdict.problems[0].offset == at
    assert verdict.piece_ok is False
    assert told[-1] == (len(data), len(data)), "blocks and piece in one pass"


async def test_a_mount_ends_with_its_call(tmp_path: Path) -> None:
    sample, padded = await in_sector(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    ready = asyncio.Event()
    mounting = asyncio.create_task(kernel.mount(padded.source, folder, report=lambda event: ready.set()))
    await asyncio.wait({mounting, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    read = await asyncio.to_thread((folder / "train/images.bin").read_bytes)
    assert read == sample.files["train/images.bin"]
    mounting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await mounting
    assert not is_mounted(folder)


async def test_the_commands_answer_in_json(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    sector = tmp_path / "s-t01000-1"
    padded = json.loads(shale("piece", "pad", sample.car, sector, "--sector-size", "8MiB", "--json").stdout)
    assert sorted(padded) == ["offset", "raw_size", "sector_size", "size", "source"]
    found = json.loads(shale("piece", "inspect", f"sector:{sector}", "--json").stdout)
    assert (found["root"], found["sector_size"], found["problems"]) == (sample.root, 8 << 20, [])
    assert len(json.loads(shale("piece", "ls", padded["source"], "--json").stdout)) == 3
    assert json.loads(shale("piece", "verify", padded["source"], "--piece", sample.piece, "--json").stdout)["ok"]
    back = tmp_path / "back.car"
    assert json.loads(shale("piece", "unpad", padded["source"], back, "--json").stdout) == {
        "raw_size": sample.car.stat().st_size,
        "trailing_zeros": 0,
    }
    whole = padded["source"].partition("&raw=")[0]
    longer = shale("piece", "unpad", whole, tmp_path / "padded.car")
    zeros = (tmp_path / "padded.car").stat().st_size - sample.car.stat().st_size
    assert f"the last {zeros} bytes are zeros".encode() in longer.stderr
    sample.car.write_bytes(sample.car.read_bytes()[:-7])
    broken = shale("piece", "verify", sample.car, "--json")
    assert broken.returncode == 1
    assert "truncated" in json.loads(broken.stdout)["problems"][0]["reason"]


async def test_the_mount_command_unmounts_at_the_end(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    program = Path(sys.executable).with_name("shale")
    mounted = await asyncio.create_subprocess_exec(
        program, "piece", "mount", sample.car, folder, "--json", stdout=asyncio.subprocess.PIPE
    )
    assert mounted.stdout is not None
    assert json.loads(await mounted.stdout.readline()) == {"event": "ready"}
    assert (folder / "readme.txt").read_bytes() == sample.files["readme.txt"]
    mounted.send_signal(signal.SIGTERM)
    assert await mounted.wait() == 143
    assert not is_mounted(folder)


async def test_the_mount_ends_with_its_command_that_is_killed(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    program = Path(sys.executable).with_name("shale")
    mounted = await asyncio.create_subprocess_exec(
        program, "piece", "mount", sample.car, folder, "--json", stdout=asyncio.subprocess.PIPE
    )
    assert mounted.stdout is not None
    assert json.loads(await mounted.stdout.readline()) == {"event": "ready"}
    held = named("shale-kernel", str(folder))
    assert held
    mounted.kill()
    await mounted.wait()
    async with asyncio.timeout(30):
        while is_mounted(folder) or any(process.lives for process in held):
            await asyncio.sleep(0.01)
