"""The Lotus desk's command: claims from a file, served as a Lotus node would serve them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shale.client.cli.context import json_option, run_async
from shale.client.cli.output import emit


@click.command()
@click.option(
    "--claims",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON as StateGetClaims answers it: an object of claims by id.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=1234, show_default=True, help="Port; 0 takes any.")
@json_option
def lotus(claims: Path, port: int, as_json: bool) -> None:
    """Serve verified claims from a file in the shape of a Lotus node, until Ctrl-C: for a desk without Filecoin."""
    from shale.chain.lotus_desk import LotusDesk, serve
    from shale.clock import SystemClock

    desk = LotusDesk(claims.absolute(), SystemClock())

    def ready(url: str) -> None:
        if as_json:
            emit({"url": url})
        else:
            click.echo(f"claims of {claims} at {url}: Ctrl-C ends it")
        sys.stdout.flush()

    run_async(lambda: serve(desk, port, ready))
