"""Output: JSON for programs, rich's console for people; plain and wide enough where nobody looks."""

from __future__ import annotations

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from shale.units import AttoFil

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 140


def emit(value: Any) -> None:
    """One JSON value on stdout."""
    print(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def plain(text: str) -> str:
    """Text of somebody else's, without what would move a terminal's cursor."""
    return "".join(char if char.isprintable() else "?" for char in text)


def console(*, stderr: bool = False) -> Console:
    """A console that follows the terminal; a pipe gets no colours and a fixed width, COLUMNS another one."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def waiting(what: str) -> AbstractContextManager[object]:
    """A line that says what is being waited for, on a terminal only."""
    return console(stderr=True).status(what) if sys.stderr.isatty() else nullcontext()


def fil(amount: AttoFil, digits: int = 6) -> str:
    """An amount for people, rounded to at most so many digits; JSON has the exact one."""
    from decimal import ROUND_HALF_EVEN, Context

    number, _, unit = str(amount).partition(" ")
    if len(number.replace(".", "")) <= digits:
        return f"{number} {unit}"
    rounded = Context(prec=digits, rounding=ROUND_HALF_EVEN).create_decimal(number)
    text = f"{rounded:f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {unit}"
