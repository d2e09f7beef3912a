"""Lines: a process whose output a test waits for, line by line, never by the clock."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType

PATIENCE = 90.0
"""Seconds until a wait fails: far more than anything takes on a busy machine."""


class Lines:
    """Runs a command and keeps what it writes; `wait` returns at the first line, from the given one on, that fits."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None, *, errors: bool = True) -> None:
        self.process = subprocess.Popen(
            list(command),
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self.seen: list[str] = []
        self._over = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _read(self) -> None:
        assert self.process.stdout is not None, "asked for a pipe"
        for line in self.process.stdout:
            with self._news:
                self.seen.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def wait(self, fits: str | Callable[[str], bool], since: int = 0, seconds: float = PATIENCE) -> str:
        """The first line from `since` on that fits; an assertion with the last lines if there is none in time."""

        def right(line: str) -> bool:
            return fits in line if isinstance(fits, str) else fits(line)

        def found() -> str | None:
            return next((line for line in self.seen[since:] if right(line)), None)

        with self._news:
            self._news.wait_for(lambda: found() is not None or self._over, seconds)
            line = found()
        assert line is not None, f"no such line ({fits}) among the last: {self.seen[-8:]}"
        return line

    def say(self, line: str) -> None:
        """Write a line to the process."""
        assert self.process.stdin is not None, "asked for a pipe"
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def gone(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; its exit status. All that it wrote is seen then."""
        status = self.process.wait(seconds)
        self._reader.join(seconds)
        return status

    def end(self) -> None:
        """Kill it if it still runs, and let go of its pipes."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(10)
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
