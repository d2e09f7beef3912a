"""What the commands on datasets show: a bar on a terminal, whole lines above it, and plain lines in a file."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from tests.cars import Sample, pack_sample
from tests.rooms import open_room


def on_terminal(words: list[str], home: Path, out: Path | None, columns: int = 80) -> str:
    """Run a command on a terminal of its own; all that it was sent, without line ends. `out` takes its output."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = os.environ | {"SHALE_HOME": str(home), "TERM": "xterm", "NO_COLOR": "1"}
    with open(out, "wb") if out else os.fdopen(os.dup(theirs), "wb") as output:
        program = [sys.executable, "-c", "from shale.client.cli.main import main; main()", *words]
        process = subprocess.Popen(program, stdin=theirs, stdout=output, stderr=theirs, env=environment)
    os.close(theirs)
    told = b""
    try:
        while chunk := os.read(ours, 1 << 16):
            told += chunk
    except OSError:
        pass  # the last of the terminal is closed
    os.close(ours)
    process.wait()
    return told.decode()


@pytest.fixture
async def sample(tmp_path: Path) -> Sample:
    return await pack_sample(tmp_path)


@pytest.mark.parametrize("columns", [80, 120])
async def test_results_stand_above_the_bar_each_a_whole_line(sample: Sample, tmp_path: Path, columns: int) -> None:
    broken = tmp_path / ("a-name-so-long-that-no-terminal-has-room-for-it-in-one-line" * 2 + ".car")
    broken.write_bytes(sample.car.read_bytes()[:-5])
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "provider").symlink_to(tmp_path)
    words = ["provider", "datasets", "add", str(broken), str(sample.car)]
    async with open_room(tmp_path, with_lotus=False):
        told = await asyncio.to_thread(on_terminal, words, tmp_path / "home", None, columns)
        assert f"left out {broken}: offset " in told
        assert f"added    sample-1  {sample.root}  3 files" in told
        assert "━" in told
        for line in told.replace("\x1b", "\r").splitlines():
            assert "left out" not in line or line.startswith(("left out", "[2Kleft out")), "nothing before it"


async def test_a_file_gets_the_results_and_the_terminal_the_bar(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "provider").symlink_to(tmp_path)
    out = tmp_path / "out"
    words = ["provider", "datasets", "add", str(sample.car)]
    async with open_room(tmp_path, with_lotus=False):
        told = await asyncio.to_thread(on_terminal, words, tmp_path / "home", out)
    assert out.read_text() == f"added    sample-1  {sample.root}  3 files\n"
    assert "added" not in told
    assert "━" in told
