"""`python -m tests.benchmarks [PART]`: measure one part or all, print tables, write build/bench/<part>.json."""

from __future__ import annotations

import sys
from importlib import import_module

import click
from rich.console import Console
from tests.benchmarks.frame import BUILD, keep, show

from shale.errors import ShaleError

PARTS = ("cli", "datasets", "ledger", "containers", "tunnel")


def main(words: list[str]) -> int:
    unknown = [word for word in words if word not in PARTS]
    if unknown:
        click.echo(f"bench: there is no part {unknown[0]}: choose among {', '.join(PARTS)}", err=True)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 140)
    status = 0
    for part in words or PARTS:
        try:
            rows = import_module(f"tests.benchmarks.{part}").measure()
        except ShaleError as error:
            click.echo(f"bench: {part}: {error}", err=True)
            status = 1
            continue
        show(part, rows, console)
        keep(part, rows)
    console.print(f"figures in {BUILD}", style="dim", highlight=False)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
