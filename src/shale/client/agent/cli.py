"""`shale agent …`: look at, run and stop the process that pays for your leases."""

from __future__ import annotations

import asyncio
import json

import click

from shale.paths import Home

as_json = click.option("--json", "json_output", is_flag=True, help="Print JSON for programs.")


@click.group()
def group() -> None:
    """The process that pays for your leases; it starts and ends by itself."""


@group.command()
@as_json
def run(json_output: bool) -> None:
    """Run it in the foreground, to see what it does."""
    from shale.client.agent.__main__ import main

    status = main(None)
    if json_output:
        click.echo(json.dumps({"status": status}))
    raise SystemExit(status)


@group.command()
@as_json
def status(json_output: bool) -> None:
    """Show what it pays for."""
    from shale.client.agent import link

    views = asyncio.run(link.status(Home.default()))
    if json_output:
        click.echo(json.dumps({"leases": [view.to_json() for view in views]}))
        return
    if not views:
        click.echo("the agent pays for no lease")
    for view in views:
        health = f", {view.verdict.probe} {view.verdict.status.value}" if view.verdict else ""
        tunnel = "tunnel up" if view.connected else "tunnel down"
        click.echo(
            f"{view.name}  {view.state}  {view.paid} of {view.collateral}  {tunnel}{health}  {view.note}".rstrip()
        )


@group.command()
@as_json
def stop(json_output: bool) -> None:
    """Stop it; leases that it paid for are frozen by their providers until it runs again."""
    from shale.client.agent import link

    ran = asyncio.run(link.stop(Home.default()))
    if json_output:
        click.echo(json.dumps({"stopped": ran}))
    else:
        click.echo("stopped" if ran else "it didn't run")
