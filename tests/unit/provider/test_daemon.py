"""The daemon's servers: one that can't serve is an error, never a silence."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest
from starlette.applications import Starlette

from shale.provider.daemon import served


async def test_a_server_that_cannot_start_is_an_error() -> None:
    listener = socket.socket()
    listener.close()
    with pytest.raises((OSError, ValueError)):
        async with asyncio.timeout(10), served(Starlette(), listener):
            raise AssertionError("it doesn't serve")


async def test_a_server_that_ends_by_itself_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    over = asyncio.Event()

    async def main_loop(self: object) -> None:
        await over.wait()
        raise RuntimeError("a bug")

    monkeypatch.setattr("shale.provider.daemon._Server.main_loop", main_loop)

    async def serve_until_it_breaks(listener: socket.socket) -> None:
        async with served(Starlette(), listener):
            over.set()
            await asyncio.sleep(0.05)
            assert "ended by itself" in caplog.text

    with socket.socket() as listener, caplog.at_level(logging.CRITICAL):
        listener.bind(("127.0.0.1", 0))
        with pytest.raises(RuntimeError):
            await serve_until_it_breaks(listener)
