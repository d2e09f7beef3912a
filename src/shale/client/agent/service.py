"""Service: the agent's process: a session for each living lease, and the control socket that commands talk to."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from shale.chain.network import Network
from shale.client.agent.dial import SshDial
from shale.client.agent.session import Session, SessionParts
from shale.client.api import ProviderApi, end_from_json, end_to_json
from shale.client.rental import Rental
from shale.client.sshconfig import config_path, write_ssh_config
from shale.client.store import Store
from shale.clock import SystemClock
from shale.errors import Closed, InputRefused, ShaleError
from shale.keeping import keep
from shale.market.order import End, text_of
from shale.market.signing import SigningDomain
from shale.paths import Home, private_dir
from shale.process import run
from shale.proofs.kernel import KernelProver
from shale.quality.loader import load_probes
from shale.quality.verdict import Policy

log = logging.getLogger("shale.agent")

MAX_REQUEST = 64 * 1024
IDLE_SECONDS = 60.0
"""How long the agent stays when no lease lives."""


class Agent:
    """Everything of one user's agent. `serve` runs it; `ready` is called once commands can reach it."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._clock = SystemClock()
        self._store = Store(home)
        self._prover = KernelProver()
        self._probes = tuple(load_probes())
        self._sessions: dict[str, Session] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Condition()
        self._version = 0
        self._stop = asyncio.Event()
        self._busy = asyncio.Event()
        self._notifying: set[asyncio.Task[None]] = set()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Until it is told to stop, or no lease has lived for a while. Raises Closed when another agent runs."""
        folder = private_dir(self._home.client)
        lock = os.open(folder / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise Closed("the agent runs already") from None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        socket = folder / "agent.sock"
        socket.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._answer, socket, limit=MAX_REQUEST)
        finally:
            os.umask(mask)
        try:
            for rental in self._store.rentals(living=True):
                if rental.shell is not None:
                    try:
                        await self._adopt(rental)
                    except ShaleError as error:  # one lease that can't be paid must not keep the others from it
                        log.error("lease %s: %s", rental.name, error)
            ready()
            await self._live()
        finally:
            server.close()
            socket.unlink(missing_ok=True)
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._prover.close()
            self._store.close()
            os.close(lock)

    async def _live(self) -> None:
        """Return when told to stop, or after a while without a lease."""
        while not self._stop.is_set():
            self._busy.clear()
            waits = [asyncio.ensure_future(self._stop.wait()), asyncio.ensure_future(self._busy.wait())]
            idle = not self._tasks
            try:
                done, _ = await asyncio.wait(
                    waits, timeout=IDLE_SECONDS if idle else None, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for wait in waits:
                    wait.cancel()
            if idle and not done:
                return

    async def _adopt(self, rental: Rental) -> None:
        deployment = Network.load(self._home, rental.network).deployment
        domain = await self._prover.domain(deployment.chain_id, deployment.ledger)
        # Asked last: a command may hand us the lease that we are taking from the books, and two sessions would fight.
        if rental.name in self._tasks or rental.ended:
            return
        parts = SessionParts(
            store=self._store,
            prover=self._prover,
            clock=self._clock,
            signing=SigningDomain(deployment.chain_id, deployment.market),
            domain=domain,
            ssh_config=config_path(self._home),
            dial=SshDial(config_path(self._home)),
            probes=self._probes,
            policy=Policy(),
            ask_end=_ask_end,
        )
        session = Session(rental, parts, self._notify)
        self._sessions[rental.name] = session
        self._tasks[rental.name] = asyncio.create_task(self._run(session))
        self._busy.set()
        self._notify()

    async def _run(self, session: Session) -> None:
        try:
            # What fails in a session must not leave its lease without a payer.
            await keep(f"lease {session.name}", session.run, self._clock, log)
            with suppress(ShaleError):
                await run(["ssh", "-F", str(config_path(self._home)), "-O", "exit", f"shale-gateway-{session.name}"])
            write_ssh_config(self._home, self._store.rentals(living=True))
        except Exception:
            log.exception("%s: after its end", session.name)
        finally:
            self._tasks.pop(session.name, None)
            self._busy.set()
            self._notify()

    def _notify(self) -> None:
        async def tell() -> None:
            async with self._changed:
                self._version += 1
                self._changed.notify_all()

        task = asyncio.create_task(tell())
        self._notifying.add(task)
        task.add_done_callback(self._notifying.discard)

    def _views(self) -> list[dict[str, Any]]:
        return [session.view.to_json() for session in self._sessions.values()]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a request a line, an answer a line; `watch` streams until the caller leaves."""
        try:
            while line := await reader.readline():
                try:
                    raw = json.loads(line)
                    if raw.get("op") == "watch":
                        await self._stream(writer)
                        return
                    answer = {"ok": True, **await self._do(raw)}
                except ShaleError as error:
                    answer = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    message = f"the agent did not understand ({type(error).__name__})"
                    answer = {"error": {"code": "refused", "message": message, "hint": "run shale agent stop"}}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            return
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _do(self, raw: dict[str, Any]) -> dict[str, Any]:
        match raw["op"]:
            case "adopt":
                await self._adopt(self._store.rental(str(raw["name"])))
                return {}
            case "status":
                return {"leases": self._views()}
            case "lengthen":
                topped_up = self._sessions.get(str(raw["name"]))
                if topped_up is not None:
                    await topped_up.lengthen()
                return {}
            case "end":
                session = self._sessions.get(str(raw["name"]))
                if session is None:
                    raise InputRefused("the agent doesn't pay for such a lease", "see shale ps")
                final = await session.end(end_from_json(raw["end"]), text_of(raw["signature"], 140))
                return {"end": end_to_json(final)}
            case "stop":
                self._stop.set()
                return {}
            case _:
                raise InputRefused("the agent has no such request", "run shale agent stop, it may be an older one")

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        """The views now, and again after each change: at most ten a second, and at least one a second."""
        while True:
            seen = self._version
            writer.write(json.dumps({"ok": True, "leases": self._views()}).encode() + b"\n")
            await writer.drain()
            await self._clock.sleep_until(self._clock.steady() + 0.1)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.9), self._changed:
                    while self._version == seen:
                        await self._changed.wait()


async def _ask_end(rental: Rental) -> tuple[End, str] | None:
    async with ProviderApi(rental.endpoint) as api:
        return (await api.lease(rental.id)).end
