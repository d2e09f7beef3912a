"""KernelPipe: one long-lived kernel process, spoken to in JSON lines (docs/protocol.md, section 6)."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from shale.errors import Closed, ConfigError, InputRefused, Unavailable, from_wire
from shale.process import send

MAX_LINE = 16 << 20
_STDERR_KEPT = 4096

Progress = Callable[[str, int], None]
"""Called with the stage of a long call, and how much of it is done, in thousandths."""


class KernelPipe:
    """Calls to a kernel that is started at the first one, and again at the first one after its death.

    Concurrent calls share the process; answers find their call by id. Parameters go over the pipe and
    nowhere else, since they hold secrets.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._life: _Life | None = None
        self._starting = asyncio.Lock()
        self._ids = count(1)
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "running" if self._life and self._life.alive else "idle"
        return f"KernelPipe({self._command[0]}, {state})"

    async def call(
        self, method: str, params: dict[str, Any], limit: float, progress: Progress | None = None
    ) -> dict[str, Any]:
        """The method's result; `progress` hears what the kernel says of it meanwhile.

        Raises what the kernel answers (`Refused`, `ConfigError`, …); `Unavailable` when it dies or takes over
        `limit` seconds: it is stuck then, so it is killed, and the next call has a fresh one.
        """
        number = next(self._ids)
        line = json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n"
        if len(line) > MAX_LINE:
            raise InputRefused(
                f"a call of {len(line)} bytes is over the prover's limit of {MAX_LINE}", "ask for less at once"
            )
        life: _Life | None = None
        try:
            async with asyncio.timeout(limit):
                async with self._starting:
                    life = await self._living()
                return await life.ask(number, line, progress)
        except TimeoutError:
            if life is not None:
                life.kill()
            raise Unavailable(
                f"the prover took over {limit:g} s for {method}", "try again, or look at the machine's load"
            ) from None

    async def close(self) -> None:
        """End the process; calls under way fail with Unavailable. Closing twice does nothing."""
        self._closed = True
        if self._life is not None:
            await self._life.end()
            self._life = None

    async def _living(self) -> _Life:
        if self._closed:
            raise Closed("the prover is closed")
        if self._life is None or not self._life.alive:
            if self._life is not None:
                await self._life.end()
            self._life = await _Life.begin(self._command)
        return self._life


class _Life:
    """One process from its start to its death, with the calls that wait for it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._listening: dict[int, Progress] = {}
        self._last_words = b""
        self._tasks = (asyncio.create_task(self._listen()), asyncio.create_task(self._overhear()))
        self.alive = True

    @classmethod
    async def begin(cls, command: Sequence[str]) -> _Life:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=MAX_LINE,
                # A Ctrl-C in the terminal is for us: what we redeem on the way out still needs the prover.
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigError(f"cannot run {command[0]} ({error.strerror})", "run make install") from None
        return cls(process)

    async def ask(self, number: int, line: bytes, progress: Progress | None) -> dict[str, Any]:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        if progress is not None:
            self._listening[number] = progress
        try:
            if not self.alive:
                raise self._death()
            assert self._process.stdin is not None
            with suppress(ConnectionError):  # _listen sees the death and fails the answer
                self._process.stdin.write(line)
                await self._process.stdin.drain()
            return _result(await answer)
        finally:
            self._waiting.pop(number, None)
            self._listening.pop(number, None)

    async def end(self) -> None:
        """Close its input, which ends it; kill it if it doesn't go."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await asyncio.shield(self._tasks[0])
        except TimeoutError:
            self.kill()
        await asyncio.gather(*self._tasks)

    def kill(self) -> None:
        self.alive = False
        send(self._process, signal.SIGKILL)

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._deliver(json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError):
            # Not a line of the protocol, or one over the limit: nothing after it can be trusted.
            self._last_words = b"it answered with something that is not the protocol"
        self.kill()
        await self._process.wait()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(self._death())

    def _deliver(self, message: dict[str, Any]) -> None:
        if "progress" in message:
            said, listener = message["progress"], self._listening.get(message["id"])
            if listener is not None:
                listener(str(said["stage"])[:32], min(1000, max(0, int(said["done"]))))
            return
        answer = self._waiting.get(message["id"])
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _overhear(self) -> None:
        """Keep the end of its standard error, so that its death can be told."""
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(_STDERR_KEPT):
            self._last_words = (self._last_words + chunk)[-_STDERR_KEPT:]

    def _death(self) -> Unavailable:
        lines = self._last_words.decode(errors="replace").strip().splitlines()
        status = self._process.returncode
        why = lines[-1][:300] if lines else f"status {status}"
        return Unavailable(f"the prover died ({why})", "try again; if it goes on, run make install")


def _result(message: dict[str, Any]) -> dict[str, Any]:
    error = message.get("error")
    if isinstance(error, dict):
        raise from_wire(str(error.get("code")), str(error.get("message")))
    result = message.get("result")
    if not isinstance(result, dict):
        raise Unavailable("the prover answered without a result", "run make install")
    return result
