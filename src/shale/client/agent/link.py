"""Link to the agent: what commands ask of it, through its socket; it is started on demand."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

from shale.client.agent.view import LeaseView
from shale.errors import Unavailable, from_wire
from shale.paths import Home, private_dir

_MAX_ANSWER = 4 << 20
_START_SECONDS = 30.0


class Waking:
    """The agent's start, begun while the caller does other things; `adopt` waits for it rather than start another."""

    def __init__(self) -> None:
        self._start: asyncio.Future[None] | None = None

    def begin(self, home: Home) -> None:
        """Start the agent if it doesn't run."""
        self._start = asyncio.ensure_future(self._open(home))

    async def _open(self, home: Home) -> None:
        with suppress(Unavailable):
            _, writer = await _open(home, start=True)
            writer.close()

    async def adopt(self, home: Home, name: str) -> None:
        """As `adopt` below, once the start has ended."""
        if self._start is not None:
            await self._start
        await adopt(home, name)


async def adopt(home: Home, name: str) -> None:
    """Have the agent pay for a lease that stands in the books; starts the agent if it doesn't run."""
    await _ask(home, {"op": "adopt", "name": name}, start=True)


async def status(home: Home) -> list[LeaseView]:
    """What the agent pays for now; starts the agent if it doesn't run."""
    return _views(await _ask(home, {"op": "status"}, start=True))


async def end(home: Home, name: str, end_json: dict[str, Any], signature: str) -> dict[str, Any]:
    """Send the client's signed End through the tunnel; returns the provider's, checked by the agent."""
    raw = await _ask(home, {"op": "end", "name": name, "end": end_json, "signature": signature}, start=True)
    return dict(raw["end"])


async def lengthen(home: Home, name: str) -> None:
    """Tell the agent that a lease was topped up; one that doesn't run reads it in the books when it starts."""
    with suppress(Unavailable):
        await _ask(home, {"op": "lengthen", "name": name}, start=False)


async def stop(home: Home) -> bool:
    """Stop the agent. Returns whether one ran; when this returns it is gone or about to be."""
    try:
        await _ask(home, {"op": "stop"}, start=False)
    except Unavailable:
        return False
    return True


async def watch(home: Home) -> AsyncGenerator[list[LeaseView], None]:
    """The views now and after each change, at least once a second, until the caller stops or the agent ends."""
    reader, writer = await _open(home, start=True)
    try:
        writer.write(b'{"op": "watch"}\n')
        await writer.drain()
        while line := await reader.readline():
            yield _views(_read(line))
    finally:
        writer.close()


async def _ask(home: Home, request: dict[str, Any], *, start: bool) -> dict[str, Any]:
    reader, writer = await _open(home, start=start)
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        async with asyncio.timeout(60):
            line = await reader.readline()
    except (OSError, TimeoutError, ValueError):
        raise Unavailable("the agent does not answer", "run shale agent stop, and try again") from None
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return _read(line)


async def _open(home: Home, *, start: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    path = home.client / "agent.sock"
    with suppress(OSError):
        return await asyncio.open_unix_connection(path, limit=_MAX_ANSWER)
    if not start:
        raise Unavailable("the agent doesn't run", "it starts by itself with shale up")
    await asyncio.to_thread(_start, home)
    try:
        return await asyncio.open_unix_connection(path, limit=_MAX_ANSWER)
    except OSError:
        raise Unavailable("the agent did not start", f"see {_log(home)}") from None


def _start(home: Home) -> None:
    """Start the agent in a session of its own, and wait for its word that it is ready, or for its end."""
    private_dir(home.client)
    listening, telling = os.pipe()
    log = os.open(_log(home), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        subprocess.Popen(
            [sys.executable, "-m", "shale.client.agent", str(telling)],
            env={**os.environ, "SHALE_HOME": str(home.root)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[telling],
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(telling)
        os.close(log)
    import select

    try:
        # The pipe becomes readable when the agent writes, or when it ends: another one may run already.
        select.select([listening], [], [], _START_SECONDS)
    finally:
        os.close(listening)


def _log(home: Home) -> Path:
    return home.client / "agent.log"


def _read(line: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(line)
    except ValueError:
        raise Unavailable("the agent does not answer", "run shale agent stop, and try again") from None
    if "error" in raw:
        error = raw["error"]
        raise from_wire(error["code"], error["message"], error["hint"])
    return dict(raw)


def _views(raw: dict[str, Any]) -> list[LeaseView]:
    return [LeaseView.from_json(view) for view in raw["leases"]]
