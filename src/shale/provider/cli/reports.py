"""Reports: what is told of long work on datasets and keys: a bar where a person looks on, and a line a result."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from shale.units import format_bytes

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_NARROW = 100
"""Columns below which the bar makes room for what it is of."""
_LEAST = 60
"""Columns below which there is no bar."""
_TURN = "waiting for its turn"
_RESULTS = ("added", "sound", "faulty", "unread", "skipped")


class Reports:
    """A context manager: shows the reports that go through `of`. `quiet`: no lines, for there will be JSON."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Reports:
        if sys.stderr.isatty():
            self._bar = _bar()
            self._bar.start()
            self._task = self._bar.add_task(_TURN, total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def of(self, lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The reports that say more than how far it is."""
        for line in lines:
            if self.show(line):
                yield line

    def show(self, line: dict[str, Any]) -> bool:
        """Show one report; whether it says more than how far it is."""
        if "reading" in line:
            self._move(_tail(line["reading"]), line["done"], line["total"])
        elif "scanning" in line:
            self._move(f"into {_tail(line['scanning'])}", 0, None)
        elif "waiting" in line and self._bar is not None:
            self._move(f"waiting {waits(line)}", 0, None)
        else:
            if any(key in line for key in _RESULTS):
                self._move(_TURN, 0, None)  # what stood there is over
            if not self._quiet:
                self._say(*told(line))
            return True
        return False

    def _move(self, what: str, done: int, total: int | None) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=what, completed=done, total=total)

    def _say(self, text: str, is_error: bool) -> None:
        """Above the bar, where both are on one terminal; into a file or a pipe as it is."""
        if not text:
            return
        text = plain(text)
        if self._bar is not None and (sys.stderr if is_error else sys.stdout).isatty():
            from rich.text import Text

            # A line that the terminal wraps, not we: whoever copies it gets it whole.
            self._bar.console.print(Text(text), soft_wrap=True)
        else:
            click.echo(text, err=is_error)


def told(line: dict[str, Any]) -> tuple[str, bool]:
    """A report as a line for people, and whether it is one of trouble."""
    if line.get("dataset") and "added" in line:
        dataset = line["dataset"]
        claims = [str(piece["claim"]) for piece in dataset["pieces"] if piece["claim"] is not None]
        said = f", claim {', '.join(claims)}" if claims else ""
        if dataset["copy"]:
            said += f", copy {dataset['copy']}"
        return f"added    {dataset['name']}  {dataset['root']}  {dataset['files']} files{said}", False
    if "sound" in line:
        return f"sound    {line['sound']}{_copy(line)}", False
    if "faulty" in line:
        return f"faulty   {line['faulty']}{_copy(line)}: {why(line)}", False
    if "unread" in line:
        return f"unread   {line['unread']}{_copy(line)}: {why(line)}", True
    if "fetched" in line:
        return f"fetched  {line['fetched']}  {format_bytes(line['size'])}", False
    if "skipped" in line:
        return f"left out {left_out(line['skipped'], why(line))}", True
    if "waiting" in line:
        return f"waiting  {waits(line)}", True
    if "notice" in line:
        return f"note     {line['notice']}", True
    return "", False


def plain(text: str) -> str:
    """One line of it, whatever a file is called."""
    return "".join(char if char.isprintable() else "?" for char in text)


def left_out(source: str, why: str) -> str:
    """What was left out and why; most reasons name it already."""
    inner = source.removeprefix("park:").partition("?")[0]
    return plain(why if inner in why or plain(inner) in why else f"{source}: {why}")


def why(line: dict[str, Any]) -> str:
    """Why, and what to do about it."""
    return f"{line['why']}: {line['hint']}" if line.get("hint") else str(line["why"])


def waits(line: dict[str, Any]) -> str:
    """What is waited for: its name, and for how long already, or which attempt on it this is."""
    if "attempt" in line:
        return f"for {line['waiting']}: attempt {line['attempt']} of {line['attempts']}"
    return f"for {line['waiting']}: {line['seconds']} s"


def _copy(line: dict[str, Any]) -> str:
    return f" copy {line['copy']}" if line.get("copy") else ""


def _tail(source: str) -> str:
    return plain(source.partition("?")[0].rpartition("/")[2] or source)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.table import Column

    console = Console(stderr=True, highlight=False)
    narrow, least = console.width < _NARROW, console.width < _LEAST
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        *(() if least else (BarColumn(bar_width=12 if narrow else 24),)),
        DownloadColumn(binary_units=True),
        *(() if least else (TransferSpeedColumn(),)),
        TimeRemainingColumn(compact=True),
    )
    # What is printed goes where it belongs, by _say: rich would send the standard output to this console too.
    return Progress(
        *columns, console=console, transient=True, expand=True, redirect_stdout=False, redirect_stderr=False
    )
