"""Daemon: `shale provider up`: brings the parts up in order, serves until it is told to stop, and leaves in order."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from shale.datasets.driver_socket import driver_socket
from shale.errors import ConfigError
from shale.market.lease import LeaseState
from shale.paths import Home, private_dir
from shale.provider.config import ProviderConfig
from shale.provider.upkeep import follow, sweep
from shale.provider.wiring import Provider, wire

log = logging.getLogger("shale.provider")


async def serve(home: Home, config: ProviderConfig, password: str, ready: Callable[[Provider], None]) -> None:
    """Run the daemon until SIGINT, SIGTERM or an order through the admin socket. Raises what keeps it from starting."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        stack.enter_context(_Lock(private_dir(home.provider) / "daemon.lock"))
        listener = stack.enter_context(_bind(config))
        provider = await stack.enter_async_context(wire(home, config, password, stop))
        stack.push_async_callback(_leave, provider)
        # The engine asks for volumes while it starts and removes the containers of leases: it is answered first.
        plugin = stack.enter_context(driver_socket(config.volume_driver))
        await stack.enter_async_context(served(provider.driver, plugin))
        await provider.gateway.up()
        await provider.lifecycle.recover()
        admin = private_dir(home.provider) / "admin.sock"
        door = stack.enter_context(_bind_private(admin))
        stack.callback(admin.unlink, missing_ok=True)
        await stack.enter_async_context(served(provider.public, listener))
        await stack.enter_async_context(served(provider.admin, door))
        await provider.announce()
        for work in (
            provider.service.run(),
            follow(
                provider.chain,
                provider.desk.clock,
                provider.lifecycle.living,
                provider.lifecycle.end,
                provider.topups.take,
            ),
            sweep(provider.volumes.release_unused, provider.desk.clock),
            provider.faults.run(),
            provider.lookout.watch(),
        ):
            stack.callback(asyncio.create_task(work).cancel)
        ready(provider)
        await stop.wait()
        log.info("stopping")


async def _leave(provider: Provider) -> None:
    """Leases that live on need their gateway; without any, nothing stays behind, after a failed start neither."""
    await provider.lifecycle.rest()
    if not await provider.desk.store.leases(LeaseState.RUNNING, LeaseState.FROZEN):
        await provider.gateway.down()
        provider.gateway.clear()


class _Lock:
    """Held while the daemon runs; the kernel lets it go if the daemon dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise ConfigError("this provider runs already", "see shale provider status") from None

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _bind(config: ProviderConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"port {config.port} for the API is not free ({error.strerror})",
            "set listen.port to another one, or stop what uses it",
        ) from None
    return listener


def _bind_private(path: Path) -> socket.socket:
    """A Unix socket that only its owner can open, from its first moment."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ConfigError(f"no socket at {path} ({error})", "set SHALE_HOME to a shorter path") from None
    finally:
        os.umask(mask)
    return listener


@asynccontextmanager
async def served(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    """An app, served on a bound socket for the time of the context."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=5,
        limit_concurrency=256,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=32 * 1024,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.answering.wait()
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """uvicorn's server, which tells when it listens, and leaves the signals to the daemon."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
