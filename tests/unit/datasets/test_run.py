"""What the kernel says on its standard error, and how a source is handed to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shale.datasets.run import _last_line, _reason, source_text


async def said(*chunks: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    stream = asyncio.StreamReader()
    for chunk in chunks:
        stream.feed_data(chunk)
    stream.feed_eof()
    told: list[tuple[int, int]] = []
    return await _last_line(stream, lambda done, total: told.append((done, total))), told


async def test_progress_is_told_and_is_no_reason() -> None:
    assert await said(b"progress 0 9\nprog", b"ress 9 9\nshale-kernel ls: broken\n") == (
        b"shale-kernel ls: broken",
        [(0, 9), (9, 9)],
    )
    assert await said(b"progress 3 9\n") == (b"", [(3, 9)])


async def test_what_only_looks_like_progress_is_a_reason() -> None:
    for line in (b"progress", b"progress x 9", b"progress 1", b"progress -1 9", b"progress 1 2 3"):
        assert await said(line + b"\n") == (line, [])


async def test_a_server_that_is_waited_for_is_told_of_and_is_no_reason() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(
        b"waiting sp.example:80 3\nwaiting sp.example:80 x\nshale-kernel ls: gone\nwaiting sp.example:80 4\n"
    )
    stream.feed_eof()
    told: list[tuple[str, int]] = []
    last = await _last_line(stream, None, lambda host, seconds: told.append((host, seconds)))
    assert (last, told) == (b"shale-kernel ls: gone", [("sp.example:80", 3), ("sp.example:80", 4)])


async def test_a_line_without_end_is_bounded() -> None:
    line, _ = await said(*[b"x" * 4096] * 100)
    assert len(line) <= 1 << 16
    assert len(_reason("ls", line, 1)) == 500


def test_a_silent_failure_tells_its_status() -> None:
    assert _reason("ls", b"", -9) == "shale-kernel ls ended with status -9"


@pytest.mark.parametrize(
    "text", ["http://sp/piece/x", "https://sp/x", "sector:a?offset=0&size=128", "park:-x", "aggregate:a.car#1"]
)
def test_a_scheme_goes_to_the_kernel_as_it_is(text: str) -> None:
    assert source_text(text) == text


@pytest.mark.parametrize("path", ["-x", "a.car", "a:b", "sectors:x"])
def test_a_path_is_never_taken_for_an_option(path: str) -> None:
    assert source_text(path) == str(Path.cwd() / path)
    assert source_text(Path("sector:x")) == str(Path.cwd() / "sector:x")
