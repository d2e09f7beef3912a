"""A dataset of many files: its listing and its outline come in pieces, which the loop never reads itself."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from shale.datasets import kernel, run
from shale.datasets.kernel import Listed

FILES = 5000
SHALE = Path(sys.executable).with_name("shale")


@pytest.fixture
async def car(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    for number in range(FILES):
        (tmp_path / "files" / f"file-{number:04}").touch()
    await kernel.pack(tmp_path / "files", tmp_path / "files.car")
    return tmp_path / "files.car"


async def test_a_listing_is_read_beside_the_loop_and_comes_in_pieces(car: Path) -> None:
    readers: set[int] = set()
    pieces: list[int] = []

    def read(raw: Any) -> str:
        readers.add(threading.get_ident())
        return str(raw["path"])

    def take(some: list[str]) -> None:
        assert threading.get_ident() not in readers
        pieces.append(len(some))

    await run.lines(["ls", str(car), "--lines"], read, take)
    assert sum(pieces) == FILES
    assert max(pieces) < FILES / 2


async def test_an_outline_holds_no_more_than_was_asked_for(car: Path) -> None:
    outline = await kernel.outline(car, top=3, first=2)
    assert (outline.files, outline.size) == (FILES, 0)
    assert [top.path for top in outline.top] == ["file-0000", "file-0001", "file-0002"]
    assert outline.first == (("file-0000", 0), ("file-0001", 0))


async def test_whoever_takes_a_listing_and_fails_ends_it_with_his_own_error(car: Path) -> None:
    def take(some: list[Listed]) -> None:
        raise BrokenPipeError

    async with asyncio.timeout(60):
        with pytest.raises(BrokenPipeError):
            await kernel.ls(car, take)


async def test_a_listing_in_json_is_one_value_however_long(car: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    await kernel.pack(tmp_path / "none", tmp_path / "none.car")
    for dataset, wanted in ((car, FILES), (tmp_path / "none.car", 0)):
        process = await asyncio.create_subprocess_exec(
            SHALE, "piece", "ls", "--json", dataset, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        assert process.returncode == 0
        assert len(json.loads(said)) == wanted
