"""Daemon: `shale provider up`: brings the parts up in order, serves until it is told to stop, and leaves in order."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from shale.datasets.driver_socket import driver_socket
from shale.datasets.sharing import check_sharing
from shale.errors import ConfigError, Unavailable
from shale.keeping import keep
from shale.market.lease import LeaseState
from shale.paths import Home, private_dir
from shale.provider.config import ProviderConfig
from shale.provider.upkeep import follow, sweep
from shale.provider.wiring import Provider, Step, wire

log = logging.getLogger("shale.provider")


async def serve(
    home: Home,
    config: ProviderConfig,
    password: str,
    ready: Callable[[Provider], None],
    step: Step = lambda name: None,
) -> None:
    """Run the daemon until SIGINT, SIGTERM or an order through the admin socket. Raises what keeps it from starting.

    `step` is told of each step of the start as it begins.
    """
    check_sharing()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        stack.enter_context(_Lock(private_dir(home.provider) / "daemon.lock"))
        listener = stack.enter_context(_bind(config))
        provider = await stack.enter_async_context(wire(home, config, password, stop, step))
        stack.push_async_callback(_leave, provider)
        # The engine asks for volumes while it starts and removes the containers of leases: it is answered first.
        plugin = stack.enter_context(driver_socket(config.volume_driver))
        await stack.enter_async_context(served(provider.driver, plugin))
        step("starting the SSH gateway")
        await provider.gateway.up()
        step("taking up the leases of the last run")
        await provider.lifecycle.recover()
        admin = private_dir(home.provider) / "admin.sock"
        door = stack.enter_context(_bind_private(admin))
        stack.callback(admin.unlink, missing_ok=True)
        await stack.enter_async_context(served(provider.public, listener))
        await stack.enter_async_context(served(provider.admin, door))
        step("looking up this provider's record on the chain")
        await provider.announce(step)
        await stack.enter_async_context(_kept(provider))
        ready(provider)
        await stop.wait()
        log.info("stopping")


@asynccontextmanager
async def _kept(provider: Provider) -> AsyncIterator[None]:
    """What the daemon does by itself, for the time of the context: none of it ends before."""
    clock, lifecycle = provider.desk.clock, provider.lifecycle
    works: dict[str, Callable[[], Awaitable[None]]] = {
        "settling": provider.service.run,
        "following the chain": lambda: follow(
            provider.chain, clock, lifecycle.living, lifecycle.end, provider.topups.take, lifecycle.lost
        ),
        "orders by transactions": provider.published.run,
        "releasing volumes": lambda: sweep(provider.volumes.release_unused, clock),
        "working off faults": provider.faults.run,
        "looking at the datasets": provider.lookout.watch,
        "asking the servers of pieces": provider.lookout.watch_servers,
        "joining claims": provider.lookout.watch_claims,
        "reading datasets again": provider.renewal.run,
    }
    tasks = [asyncio.create_task(keep(name, work, clock, log), name=name) for name, work in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
    answering = asyncio.create_task(server.answering.wait())
    await asyncio.wait({task, answering}, return_when=asyncio.FIRST_COMPLETED)
    answering.cancel()
    if task.done():
        task.result()
        raise Unavailable("the API's server did not start", "see the log")
    task.add_done_callback(lambda ended: _mourn(ended, server))
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _mourn(ended: asyncio.Task[None], server: uvicorn.Server) -> None:
    """A server that ends by itself is told of: whoever watches the log restarts the daemon, the leases live on."""
    if not server.should_exit:
        error = None if ended.cancelled() else ended.exception()
        log.critical("a server of the daemon has ended by itself: restart it", exc_info=error)


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
