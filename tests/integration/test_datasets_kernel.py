"""The kernel's piece commands through their wrappers and through `shale piece`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cars import list_files, pack_sample

from shale.datasets import kernel, sources
from shale.datasets.catalogue import describe
from shale.errors import Refused
from shale.market.offer import Entry
from shale.units import Cid


async def test_packing_is_deterministic_and_named_by_its_header(tmp_path: Path) -> None:
    one = await pack_sample(tmp_path)
    again = await kernel.pack(tmp_path / "tree-1", tmp_path / "again.car")
    assert (again.root, again.piece, again.files) == (one.root, one.piece, 3)
    assert one.car.read_bytes() == (tmp_path / "again.car").read_bytes()
    assert (await sources.inspect(one.car)).roots == (one.root,)


async def test_the_piece_is_that_of_the_file(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    commitment = await kernel.commp(sample.car)
    assert commitment.v1 == sample.piece
    assert commitment.raw_size == sample.car.stat().st_size


async def test_files_are_listed_and_read_back(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    listing = await list_files(sample.car)
    assert {file.path: file.size for file in listing} == {path: len(data) for path, data in sample.files.items()}
    for path, data in sample.files.items():
        with (tmp_path / "out").open("wb") as out:
            await kernel.cat(sample.car, path, out=out.fileno())
        assert (tmp_path / "out").read_bytes() == data


async def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        await kernel.cat(sample.car, "train/images.bin", out=writing)
    finally:
        os.close(writing)


async def test_progress_reaches_the_total_and_no_more(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    told: list[tuple[int, int]] = []
    await kernel.commp(sample.car, lambda done, total: told.append((done, total)))
    assert all(0 <= done <= total == sample.car.stat().st_size for done, total in told)


async def test_a_folder_of_empty_files_is_packed_where_a_person_looks_on(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "empty").touch()
    packed = await kernel.pack(tmp_path / "in", tmp_path / "out.car", lambda done, total: None)
    assert packed.files == 1


async def test_a_car_becomes_a_dataset_of_an_offer(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    outline = await kernel.outline(sample.car, top=64, first=2)
    dataset = describe("sample", sample.root, sample.piece, outline)
    sizes = {path: len(data) for path, data in sample.files.items()}
    assert (dataset.root, dataset.piece, dataset.files) == (sample.root, sample.piece, 3)
    assert dataset.size == sum(sizes.values())
    train = sizes["train/labels.csv"] + sizes["train/images.bin"]
    assert dataset.entries == (Entry("readme.txt", 1, sizes["readme.txt"]), Entry("train/", 2, train))
    assert outline.first == tuple((path, sizes[path]) for path in sorted(sizes)[:2])


async def test_failures_are_the_kernels_one_line(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    with pytest.raises(Refused, match="no such file or directory"):
        await list_files(tmp_path / "none.car")
    with pytest.raises(Refused, match="is not a CID"):
        await list_files(sample.car, Cid("--help"))
    with pytest.raises(Refused, match='no file "--root" in it'):
        await kernel.cat(sample.car, "--root", out=subprocess.DEVNULL)
    broken = tmp_path / "broken.car"
    broken.write_bytes(sample.car.read_bytes()[:-7])
    with pytest.raises(Refused, match=r"offset \d+: truncated"):
        await kernel.index([broken], tmp_path / "index")
    assert not (tmp_path / "index").exists()


async def test_a_cancelled_pack_leaves_no_file(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "zeros").open("wb") as file:
        file.truncate(8 << 30)
    out = tmp_path / "out"
    out.mkdir()
    begun = asyncio.Event()
    packing = asyncio.create_task(kernel.pack(tree, out / "o.car", lambda done, total: begun.set()))
    await begun.wait()
    packing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await packing
    assert list(out.iterdir()) == []


def shale(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    program = Path(sys.executable).with_name("shale")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, check=False, timeout=120)


async def test_the_command_packs_lists_reads_and_commits(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    packed = json.loads(shale("piece", "pack", tmp_path / "tree-1", tmp_path / "o.car", "--json").stdout)
    assert (packed["root"], packed["piece_cid"], packed["files"]) == (sample.root, sample.piece, 3)
    listed = json.loads(shale("piece", "ls", sample.car, "--json").stdout)
    assert sorted(listed[0]) == ["cid", "path", "size", "type"]
    assert [file["path"] for file in listed] == sorted(sample.files)
    read = shale("piece", "cat", sample.car, "train/images.bin")
    assert read.stdout == sample.files["train/images.bin"]
    commitment = json.loads(shale("piece", "commp", sample.car, "--json").stdout)
    assert sorted(commitment) == ["padded_size", "raw_size", "v1", "v2"]
    assert commitment["v1"] == sample.piece
    plain = shale("piece", "pack", tmp_path / "tree-1", tmp_path / "p.car").stdout.decode()
    assert sample.root in plain
    assert sample.piece in plain


def test_the_command_fails_in_one_line(tmp_path: Path) -> None:
    failed = shale("piece", "ls", tmp_path / "none.car")
    assert failed.returncode == 1
    assert failed.stderr.decode().startswith("shale: error: ")
    assert failed.stderr.count(b"\n") == 1
    told = json.loads(shale("piece", "commp", tmp_path / "none.car", "--json").stdout)
    assert told["error"]["code"] == "refused"
