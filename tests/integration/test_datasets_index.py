"""Indexes, datasets over several pieces, and materialised datasets, through the wrappers and through `shale piece`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cars import Sample, list_files, pack_sample

from shale.datasets import kernel
from shale.errors import Refused
from shale.units import Cid


def shale(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    program = Path(sys.executable).with_name("shale")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, check=False, timeout=120)


def read_below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def cut(sample: Sample, folder: Path) -> tuple[Path, Path]:
    """The CAR as two: its first blocks, and the rest with the root."""
    header, sections = split_car(sample.car.read_bytes())
    half = len(sections) // 2
    parts = (folder / "one.car", folder / "two.car")
    parts[0].write_bytes(header + b"".join(sections[:half]))
    parts[1].write_bytes(header + b"".join(sections[half:]))
    return parts


def split_car(data: bytes) -> tuple[bytes, list[bytes]]:
    pieces, at = [], 0
    while at < len(data):
        length, shift, start = 0, 0, at
        while True:
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += length
        pieces.append(data[start:at])
    return pieces[0], pieces[1:]


async def test_an_index_says_what_the_pieces_are(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    told: list[tuple[int, int]] = []
    out = tmp_path / "index"
    indexed = await kernel.index([sample.car], out, progress=lambda done, total: told.append((done, total)))
    assert (indexed.root, indexed.files, indexed.root_piece) == (sample.root, 3, 0)
    assert indexed.size == sum(map(len, sample.files.values()))
    commitment = await kernel.commp(sample.car)
    (piece,) = indexed.pieces
    assert (piece.source, piece.v1, piece.v2) == (str(sample.car), commitment.v1, commitment.v2)
    assert (piece.raw_size, piece.padded_size, piece.format) == (
        commitment.raw_size,
        commitment.padded_size,
        "car-v1",
    )
    assert piece.blocks > 3
    assert told[-1] == (piece.raw_size, piece.raw_size)
    assert out.stat().st_mode & 0o777 == 0o600
    assert await list_files(sample.car, sample.root, index=out) == await list_files(sample.car)


async def test_a_dataset_over_two_pieces_is_one(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    one, two = cut(sample, tmp_path)
    indexed = await kernel.index([one, two], tmp_path / "index", sample.root)
    assert (indexed.root_piece, len(indexed.pieces)) == (1, 2)
    listing = await list_files(sample.car)
    assert await list_files(one, sample.root, also=[two], index=tmp_path / "index") == listing
    done = shale("piece", "materialise", one, tmp_path / "out", "--with", two, "--json")
    assert json.loads(done.stdout) == {"root": sample.root, "files": 3, "size": indexed.size}
    assert read_below(tmp_path / "out") == sample.files
    shown = shale("piece", "cat", one, "readme.txt", "--with", two, "--root", sample.root)
    assert shown.stdout == sample.files["readme.txt"]


async def test_without_the_piece_of_its_root_nothing_is_indexed(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    one, _ = cut(sample, tmp_path)
    with pytest.raises(Refused, match="none of the pieces"):
        await kernel.index([one], tmp_path / "index", sample.root)
    with pytest.raises(Refused, match="is not a CID"):
        await kernel.index([one], tmp_path / "index", Cid("--help"))
    assert not (tmp_path / "index").exists()


async def test_materialising_over_a_folder_is_refused(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(Refused, match="exists already"):
        await kernel.materialise(sample.car, tmp_path / "out")
    failed = shale("piece", "materialise", sample.car, tmp_path / "out", "--json")
    assert failed.returncode != 0
    assert b"exists already" in failed.stdout + failed.stderr


async def test_packing_over_a_file_needs_force(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    refused = shale("piece", "pack", tmp_path / "tree-1", sample.car)
    assert refused.returncode != 0
    assert b"--force" in refused.stderr
    assert shale("piece", "pack", tmp_path / "tree-1", sample.car, "--force").returncode == 0
