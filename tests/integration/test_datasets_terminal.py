"""What `shale piece` shows on a terminal while a server of pieces says nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.servers import hanging

SHALE = Path(sys.executable).with_name("shale")


async def told_on_terminal(words: list[str], until: str, out: Path) -> str:
    """Run a command with its stderr on a terminal until it says so, then end it; `out` takes its standard output."""
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "120"}
    with out.open("wb") as output:
        process = await asyncio.create_subprocess_exec(SHALE, *words, stdout=output, stderr=theirs, env=environment)
    os.close(theirs)
    told = b""
    try:
        async with asyncio.timeout(60):
            while until.encode() not in told:
                told += await asyncio.to_thread(os.read, ours, 1 << 16)
            process.send_signal(signal.SIGINT)
            await process.wait()
            told += os.read(ours, 1 << 16)
    except OSError:
        pass  # the last of the terminal is closed
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(ours)
    return told.decode()


@pytest.mark.parametrize(
    "words",
    [
        ["inspect"],
        ["ls"],
        ["ls", "--json"],
        ["cat", "x"],
        ["commp", "--json"],
        ["verify"],
        ["mount"],
        ["mount", "--json"],
    ],
    ids=" ".join,
)
async def test_a_server_that_hangs_is_named_while_it_is_waited_for(words: list[str], tmp_path: Path) -> None:
    command, *rest = words
    more = [str(tmp_path)] if command == "mount" else []
    async with hanging() as url:
        host = url.split("/")[2]
        told = await told_on_terminal(
            ["piece", command, url, *more, *rest], f"waiting for {host}, 2 s", tmp_path / "out"
        )
    assert f"waiting for {host}, 2 s" in told
    assert b"waiting" not in (tmp_path / "out").read_bytes()
