"""`shale provider settle` and `earnings`: redeem what was earned, see how far that is, and what it came to."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from typing import Any

import click

from shale.provider.cli.door import as_json, ask, follow


@click.command()
@click.option("--now", is_flag=True, help="Redeem at once instead of waiting for more leases to end.")
@as_json
@click.pass_context
def settle(context: click.Context, now: bool, json_output: bool) -> None:
    """Show how far the settlement is; with --now redeem all that was earned: batch, prove, post, collect.

    The exit status is 1 if something that was paid could not be claimed.
    """
    from shale.provider.screens import show_settlements, show_settling

    if not now:
        raw = ask("GET", "/settle")
        click.echo(json.dumps(raw)) if json_output else show_settling(raw)
        return
    settled: list[dict[str, Any]] = []
    unclaimed: list[dict[str, Any]] = []
    with ExitStack() as stack:
        tell = (lambda _: None) if json_output else stack.enter_context(_Line())
        for line in follow("/settle", {}):
            if "settled" in line:
                settled, unclaimed = line["settled"], line["unclaimed"]
            else:
                tell(line)
    click.echo(json.dumps([*settled, *unclaimed])) if json_output else show_settlements(settled, unclaimed)
    if unclaimed:
        context.exit(1)


@click.command()
@click.option("--since", default="", metavar="TIME", help="Only the last so long: 24h, 7d. [default: all]")
@as_json
def earnings(since: str, json_output: bool) -> None:
    """Show what was earned, refunded and collected, and what it cost: by batch and by lease."""
    from shale.clock import SystemClock
    from shale.provider.screens import show_earnings
    from shale.units import parse_duration

    start = SystemClock().now() - parse_duration(since) if since else 0
    raw = ask("GET", f"/earnings?since={max(0, start)}")
    click.echo(json.dumps(raw)) if json_output else show_earnings(raw)


class _Line:
    """What the settlement does now, on one line of a terminal."""

    def __enter__(self) -> _Line:
        from rich.console import Console

        self._status = Console(stderr=True).status("settling") if sys.stderr.isatty() else None
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, raw: dict[str, Any]) -> None:
        from shale.provider.screens import stage_text

        if self._status:
            self._status.update(stage_text(raw))
