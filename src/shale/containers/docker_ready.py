"""When a started container is ready: its guest has said that it listens, and answers as an SSH server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiodocker.stream import Stream

from shale.containers.docker_connection import one_line
from shale.errors import Refused
from shale.wire import read_json

_MAX_OUTPUT = 1 << 16


async def guest_listens(output: Stream) -> None:
    """Return at the guest's ``{"event":"listening",…}``. Raises Refused if it ends before: its last line."""
    last = ""
    async for line in _lines(output):
        if _is_listening(line):
            return
        last = one_line(line) or last
    raise Refused("the container ended before its SSH server listened", last or "it said nothing")


async def ssh_answers(address: str, port: int) -> None:
    """Return when the server has identified itself (RFC 4253, section 4.2). Raises Refused or OSError."""
    reader, writer = await asyncio.open_connection(address, port, limit=4096)
    try:
        banner = await reader.readline()
    except ValueError:
        banner = b""
    finally:
        writer.close()
    if not banner.startswith(b"SSH-2.0-"):
        raise Refused(
            "the container's SSH server does not answer",
            "look at the image: another program may hold its port",
        )


async def _lines(output: Stream) -> AsyncIterator[str]:
    pending, total = b"", 0
    while (message := await output.read_out()) is not None and total <= _MAX_OUTPUT:
        total += len(message.data)
        *whole, pending = (pending + message.data).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if pending:
        yield pending.decode(errors="replace")


def _is_listening(line: str) -> bool:
    try:
        event = read_json(line.encode())
    except ValueError:
        return False
    return isinstance(event, dict) and event.get("event") == "listening"
