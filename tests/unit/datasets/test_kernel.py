"""What the calls of the kernel do beside it: whoever cancels them waits for no thread of theirs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shale.datasets import kernel


class _File:
    def is_dir(self, *, follow_symlinks: bool) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool) -> _File:
        return self

    st_size = 1


async def test_packing_that_is_cancelled_stops_to_sum_the_folder_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun, given_up = threading.Event(), threading.Event()

    @contextmanager
    def scandir(folder: str) -> Iterator[Iterator[_File]]:
        def endless() -> Iterator[_File]:
            while not given_up.is_set():
                begun.set()
                yield _File()

        yield endless()

    monkeypatch.setattr(kernel.os, "scandir", scandir)
    summing = asyncio.create_task(kernel._size_below(tmp_path))
    await asyncio.to_thread(begun.wait, 10)
    summing.cancel()
    try:
        async with asyncio.timeout(10):
            # As the end of a program waits for its threads.
            await asyncio.get_running_loop().shutdown_default_executor()
    finally:
        given_up.set()
    assert summing.cancelled()


def test_a_folder_is_summed_up_without_what_its_symlinks_lead_to(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a").write_bytes(b"123")
    (tmp_path / "in" / "b").write_bytes(b"4")
    (tmp_path / "out").write_bytes(b"56789")
    (tmp_path / "in" / "loop").symlink_to("deep")
    total = asyncio.run(kernel._size_below(tmp_path / "in"))
    assert total == 4 + len("deep")
