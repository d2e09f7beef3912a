"""Output: JSON for programs, rich's console for people; plain and wide enough where nobody looks."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from shale.units import AttoFil

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 140


def emit(value: Any) -> None:
    """One JSON value on stdout."""
    print(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def console(*, stderr: bool = False) -> Console:
    """A console that follows the terminal; a pipe gets no colours and a fixed width, COLUMNS another one."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def fil(amount: AttoFil, digits: int = 6) -> str:
    """An amount for people, at most so many significant digits; JSON has the exact one."""
    text = str(amount)
    number, _, unit = text.partition(" ")
    whole, dot, fraction = number.partition(".")
    if not dot:
        return text
    kept = fraction[: max(0, digits - len(whole))].rstrip("0")
    return f"{whole}.{kept} {unit}" if kept else f"{whole} {unit}"
