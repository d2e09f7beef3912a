"""What a mount says on its pipe, as far as the daemon can be made to listen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from shale.datasets.events import Listener, fault_from
from shale.units import Cid

ROOT = Cid("bafyroot")


class Pipe:
    """A FIFO with its writer, and what the listener told."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.told: list[dict[str, Any]] = []
        self.over = asyncio.Event()

    async def listen(self) -> Listener:
        return await Listener.on(self.path, self.told.append, self.over.set)

    def say(self, *events: object) -> None:
        os.write(self.writer, b"".join(json.dumps(event).encode() + b"\n" for event in events))

    def hang_up(self) -> None:
        os.close(self.writer)


@pytest.fixture
def pipe(tmp_path: Path) -> Pipe:
    return Pipe(tmp_path / "events")


async def test_what_was_said_before_anybody_listened_is_heard(pipe: Pipe) -> None:
    pipe.say({"event": "ready"}, {"event": "fault"})
    await pipe.listen()
    pipe.hang_up()
    await pipe.over.wait()
    assert [event["event"] for event in pipe.told] == ["ready", "fault"]


async def test_who_listens_no_more_is_not_told_of_the_end(pipe: Pipe) -> None:
    listener = await pipe.listen()
    listener.close()
    pipe.hang_up()
    again = Pipe(pipe.path.with_name("other"))
    await again.listen()
    again.hang_up()
    await again.over.wait()
    assert not pipe.over.is_set()


async def test_junk_and_lines_without_end_are_passed_over(pipe: Pipe) -> None:
    await pipe.listen()
    for chunk in (b"junk\n[1]\n\xff\n" + b"[" * 9000 + b"\n", b"x" * 60_000, b"x" * 60_000, b'{"event": "no"}\n'):
        await _written(pipe, chunk)
    pipe.say({"event": "ready"})
    pipe.hang_up()
    await pipe.over.wait()
    assert pipe.told == [{"event": "ready"}]


async def test_a_flood_waits_in_the_pipe(pipe: Pipe) -> None:
    """The daemon has other things to do; the mount drops what its pipe doesn't take."""
    listener = await pipe.listen()
    line = json.dumps({"event": "fault"}).encode() + b"\n"
    written = 0
    with contextlib.suppress(BlockingIOError):
        while written < 1 << 22:
            written += os.write(pipe.writer, line)
            await asyncio.sleep(0)
    assert written < 1 << 22, "somebody reads it all"
    assert 100 <= len(pipe.told) < 100 + (1 << 16) // len(line)
    listener.close()
    pipe.hang_up()


async def _written(pipe: Pipe, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(pipe.writer, data) :]
        except BlockingIOError:
            await asyncio.sleep(0)


def test_a_fault_is_bounded_and_printable() -> None:
    event = {"event": "fault", "kind": "corrupt", "path": "a\x1b[2J" * 999, "offset": 7, "cid": 9, "message": None}
    fault = fault_from(ROOT, event)
    assert fault is not None
    assert (fault.kind, fault.offset, fault.cid, fault.message) == ("corrupt", 7, "9", "")
    assert str(fault).isprintable()
    assert len(str(fault)) < 500
    for offset in (-1, "7", 1 << 63, None, True):
        odd = fault_from(ROOT, event | {"offset": offset})
        assert odd is not None
        assert odd.offset is None
    assert fault_from(ROOT, {"event": "ready"}) is None


def test_a_piece_that_changed_is_told_of_without_the_name_of_its_file() -> None:
    fault = fault_from(ROOT, {"event": "fault", "kind": "changed", "message": "/secret/d.car: was changed"})
    assert fault is not None
    assert fault.kind == "changed"
    assert "changed under its mount" in str(fault)
    assert "/secret" not in str(fault)
