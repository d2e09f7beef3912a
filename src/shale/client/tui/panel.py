"""Panel: one lease as a few lines of a terminal, from 60 columns up; the same for the live view and for a pipe."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shale.client.agent.view import LeaseView
from shale.quality.verdict import Status, Verdict
from shale.units import AttoFil, format_bytes, format_duration

_STATE_STYLE = {"running": "bold green", "frozen": "bold cyan", "ended": "bold", "settled": "bold"}
_STATUS_STYLE = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}


def panel(view: LeaseView) -> RenderableType:
    """A lease: time, money, health, load."""
    title = Text.assemble((view.name, "bold"), "  ", (_state(view), _STATE_STYLE.get(view.state, "bold")))
    return Panel(Group(_figures(view), _bar(view), *_notes(view)), title=title, title_align="left", padding=(0, 1))


def _state(view: LeaseView) -> str:
    if view.state in ("ended", "settled"):
        return f"{view.state} ({view.end_reason})"
    return view.state if view.connected else f"{view.state}, tunnel down"


def _figures(view: LeaseView) -> Table:
    grid = Table.grid(padding=(0, 2), expand=True)
    for style in ("dim", "", "dim", ""):
        grid.add_column(style=style, ratio=None if style else 1, no_wrap=not style or style == "dim")
    per_hour = view.price.per_second * 3600
    grid.add_row("elapsed", format_duration(view.elapsed_seconds), "spent", Text(str(view.paid), "bold"))
    grid.add_row("paid for", f"{format_duration(view.seconds)}, tick {view.tick}", "rate", f"{per_hour}/h")
    grid.add_row("CPU", f"{view.cpu_millis / 1000:.2f} cores", "memory", format_bytes(view.memory_bytes))
    grid.add_row("probe", _verdict(view.verdict), "left", str(_left(view)))
    return grid


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
    bar = ProgressBar(total=1000, completed=spent, complete_style="green" if spent < 900 else "red")
    grid.add_row("collateral", bar, f"{spent / 10:.1f} % of {view.collateral}")
    return grid


def _notes(view: LeaseView) -> list[Text]:
    notes = []
    if view.verdict is not None and view.verdict.status is not Status.OK:
        notes.append(Text(f"{view.verdict.probe}: {view.verdict.detail}", "yellow"))
    if view.note:
        notes.append(Text(view.note, "yellow"))
    return notes
