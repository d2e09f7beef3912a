"""`shale demo`: a provider and a client on this machine go the whole way of a lease."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from shale.errors import ShaleError


@click.command()
@click.option(
    "--report",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("build/demo/report.json"),
    show_default=True,
    help="Where the figures go.",
)
@click.option("--image", default="shale/base:latest", show_default=True, help="Image to lease.")
@click.option("--epochs", default=12, show_default=True, help="Epochs to train.")
@click.option("--json", "json_output", is_flag=True, help="Print the report as JSON at the end, nothing else.")
def command(path: Path, image: str, epochs: int, json_output: bool) -> None:
    """Lease a container next to a dataset, train in it, pay by the tick, settle by a proof, review."""
    from rich.console import Console

    from shale.demo.report import Report
    from shale.demo.script import play
    from shale.demo.stage import Stage

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # A closed terminal and a kill clear up as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    report = Report(Console(quiet=json_output))
    try:
        with Stage() as stage:
            play(stage, report, image, epochs)
    except (ShaleError, KeyboardInterrupt) as error:
        report.error = str(error) or "interrupted"
        report.write(path, ok=False)
        raise
    report.write(path, ok=True)
    report.summary()
    if json_output:
        click.echo(path.read_text().strip())
    else:
        report.console.print(f"figures in {path}; nothing was left running", style="dim")
        report.console.print(
            "until Docker restarts it still asks for the demo's volume driver: docker volume ls waits for it",
            style="dim",
        )
