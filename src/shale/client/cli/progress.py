"""Progress: the steps of a lease's start as they happen: lines that live on a terminal, plain ones elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from shale.client.cli.output import console

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table


_BETWEEN = 5.0
"""Seconds between two lines about a step that goes on, where they don't live on a terminal."""


class Progress:
    """A context manager; call `report` with a step's name, its state (started, done, failed) and a detail."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = console(stderr=True)
        self._began = time.monotonic()
        self._steps: dict[str, tuple[str, str, float, float]] = {}
        self._told: dict[str, float] = {}
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if not self._quiet and sys.stderr.isatty():
            from rich.live import Live

            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=8, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for name, (state, detail, start, _) in self._steps.items():
                if state == "started":
                    self._steps[name] = ("failed", detail, start, time.monotonic())
        if self._live is not None:
            self._live.stop()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def report(self, name: str, state: str, detail: str = "") -> None:
        now = time.monotonic()
        last, before, start, _ = self._steps.get(name, ("", "", now, now))
        self._steps[name] = (state, detail or before, start, now)
        # A step that is told of again has not begun again: it waits.
        shown = "waiting" if state == last == "started" else state
        if shown == "waiting" and now - self._told.get(name, -_BETWEEN) < _BETWEEN:
            return
        if not self._quiet and self._live is None and shown != "started":
            self._told[name] = now
            self._console.print(f"{shown:7} {name:10} {now - start:6.1f} s  {detail or before}", markup=False)

    def _table(self) -> Table:
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        for name, (state, detail, start, end) in self._steps.items():
            running = state == "started"
            mark = Spinner("dots") if running else Text("✓", "green") if state == "done" else Text("✗", "red")
            took = (time.monotonic() if running else end) - start
            table.add_row(mark, Text(name, "bold"), Text(f"{took:5.1f} s", "dim"), Text(detail, overflow="ellipsis"))
        return table
