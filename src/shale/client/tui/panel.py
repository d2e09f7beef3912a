"""Panel: one lease as a few lines of a terminal, from 60 columns up; the same for the live view and for a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shale.client.agent.view import LeaseView
from shale.client.cli.output import fil
from shale.quality.verdict import Status, Verdict
from shale.units import AttoFil, format_bytes, format_duration

_STATE_STYLE = {"running": "bold green", "frozen": "bold cyan", "ended": "bold", "settled": "bold"}
_STATUS_STYLE = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}


_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVE = 14
"""How many readings a curve shows; more would not fit beside their figure at 80 columns."""


@dataclass(frozen=True, slots=True)
class Load:
    """The last readings of a lease's CPU and memory, oldest first."""

    cpu_millis: tuple[int, ...] = ()
    memory_bytes: tuple[int, ...] = ()

    def after(self, view: LeaseView) -> Load:
        return Load(
            (*self.cpu_millis, view.cpu_millis)[-_CURVE:],
            (*self.memory_bytes, view.memory_bytes)[-_CURVE:],
        )


def panel(view: LeaseView, load: Load | None = None) -> RenderableType:
    """A lease: time, money, health, load. Spent is exact; what is left is rounded to be read."""
    title = Text.assemble((view.name, "bold"), "  ", (_state(view), _STATE_STYLE.get(view.state, "bold")))
    lines = Group(_figures(view, load or Load()), _bar(view), *_notes(view))
    return Panel(lines, title=title, title_align="left", padding=(0, 1), border_style="dim" if _over(view) else "")


def _over(view: LeaseView) -> bool:
    return view.state in ("ended", "settled")


def _state(view: LeaseView) -> str:
    if _over(view):
        return f"{view.state} ({view.end_reason})"
    return view.state if view.connected else f"{view.state}, tunnel down"


def _figures(view: LeaseView, load: Load) -> Table:
    grid = Table.grid(padding=(0, 2), expand=True)
    for style in ("dim", "", "dim", ""):
        grid.add_column(style=style, ratio=None if style else 1, no_wrap=not style or style == "dim")
    grid.add_row("elapsed", format_duration(view.elapsed_seconds), "spent", Text(str(view.paid), "bold"))
    paid = f"{format_duration(view.seconds)}, tick {view.tick}"
    grid.add_row("paid for", paid, "rate", f"{fil(view.price.per_second * 3600)}/h")
    if not _over(view):
        cpu = _figure(f"{view.cpu_millis / 1000:.2f} cores", load.cpu_millis)
        grid.add_row("CPU", cpu, "memory", _figure(format_bytes(view.memory_bytes), load.memory_bytes))
    grid.add_row("probe", _verdict(view.verdict), "refund" if _over(view) else "left", _rest(view))
    return grid


def _figure(text: str, readings: Sequence[int]) -> Text:
    """A number, and the curve that led to it; its top is the highest that it shows."""
    top = max(readings, default=0) or 1
    curve = "".join(_BLOCKS[reading * (len(_BLOCKS) - 1) // top] for reading in readings)
    return Text.assemble(f"{text}  ", (curve if len(readings) > 1 else "", "cyan"), no_wrap=True, overflow="crop")


def _rest(view: LeaseView) -> str:
    left = _left(view)
    price = view.price.per_second.value
    if _over(view) or not price:
        return fil(left)
    return f"{fil(left)}, {format_duration(left.value // price)}"


def _left(view: LeaseView) -> AttoFil:
    return view.collateral - view.paid if view.paid <= view.collateral else AttoFil(0)


def _verdict(verdict: Verdict | None) -> Text:
    if verdict is None:
        return Text("no verdict yet", "dim")
    rtt = verdict.measurements.get("rtt_us")
    told = f"{verdict.status.value} {rtt / 1000:.1f} ms" if rtt is not None else verdict.status.value
    return Text.assemble(f"{verdict.probe} ", (told, _STATUS_STYLE[verdict.status]))


def _bar(view: LeaseView) -> Table:
    """The collateral, spent from the left. Thousandths, since a bar needs small numbers and amounts have 29 digits."""
    spent = view.paid.value * 1000 // view.collateral.value if view.collateral else 0
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(style="dim")
    grid.add_column(ratio=1)
    grid.add_column()
    style = "green" if spent < 900 else "red"
    bar = ProgressBar(total=1000, completed=spent, complete_style=style, finished_style=style)
    grid.add_row("collateral", bar, f"{spent / 10:.1f} % of {fil(view.collateral)}")
    return grid


def _notes(view: LeaseView) -> list[Text]:
    notes = []
    if view.verdict is not None and view.verdict.status is not Status.OK:
        notes.append(Text(f"{view.verdict.probe}: {view.verdict.detail}", "yellow"))
    if view.fault:
        notes.append(Text(view.fault, "bold red"))
    if view.note:
        notes.append(Text(view.note, "yellow"))
    return notes
