"""Frame: rows of figures, how they are taken, shown and kept."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

BUILD = Path(__file__).parents[2] / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Row:
    """A figure; `ratio` is value to peer value. No peer or no goal: empty and None."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float | None
    ratio: float | None
    goal: str
    met: bool | None


def row(
    name: str,
    value: float,
    unit: str,
    *,
    peer: str = "",
    peer_value: float | None = None,
    at_most: float | None = None,
    at_least: float | None = None,
    times_at_least: float | None = None,
) -> Row:
    """A row; the goal is one bound, in the row's unit or in times the peer's value."""
    goal, met = "", None
    if at_most is not None:
        goal, met = f"≤ {at_most:g}", value <= at_most
    elif at_least is not None:
        goal, met = f"≥ {at_least:g}", value >= at_least
    elif times_at_least is not None and peer_value is not None:
        goal, met = f"≥ {times_at_least:g} ×", value >= times_at_least * peer_value
    ratio = round(value / peer_value, 3) if peer_value else None
    rounded = None if peer_value is None else _rounded(peer_value)
    return Row(name, _rounded(value), unit, peer, rounded, ratio, goal, met)


def _rounded(value: float) -> float:
    """Four significant digits; more would be noise."""
    return float(f"{value:.4g}") if abs(value) < 10_000 else round(value)


def timed(action: Callable[[], object]) -> float:
    """Seconds of one call, by the clock on the wall."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def medians(*actions: Callable[[], float], runs: int) -> tuple[float, ...]:
    """The median figure of each action, taken in turns, so that the machine's other load falls on all alike."""
    taken: list[list[float]] = [[] for _ in actions]
    for _ in range(runs):
        for figures, action in zip(taken, actions, strict=True):
            figures.append(action())
    return tuple(statistics.median(figures) for figures in taken)


def machine() -> str:
    """One line on what the figures were taken on, and how busy it was."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores {platform.machine()}, {memory} GiB, Linux {platform.release()}, load {load:.1f}"


def show(part: str, rows: Sequence[Row], console: Console) -> None:
    table = Table(title=f"{part}  ({machine()})", title_justify="left", title_style="bold", header_style="bold")
    table.add_column("what", overflow="fold")
    for title in ("value", "unit"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("peer", overflow="fold")
    for title in ("its value", "ratio", "goal", "met"):
        table.add_column(title, justify="right", no_wrap=True)
    for item in rows:
        met = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[item.met]
        table.add_row(
            item.name,
            _shown(item.value),
            item.unit,
            item.peer,
            _shown(item.peer_value),
            _shown(item.ratio),
            item.goal,
            met,
        )
    console.print(table)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def keep(part: str, rows: Sequence[Row]) -> Path:
    """Write the part's figures, in place of its last ones."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / f"{part}.json"
    path.write_text(json.dumps([asdict(item) for item in rows], indent=2, ensure_ascii=False) + "\n")
    return path
