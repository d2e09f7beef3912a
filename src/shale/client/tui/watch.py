"""`shale watch`: leases live: time, money, health; once, or a line of JSON for each change, where nobody looks."""

from __future__ import annotations

import asyncio
import json
import sys

import click

from shale.client.agent.view import LeaseView
from shale.errors import InputRefused
from shale.paths import Home


@click.command()
@click.argument("name", required=False)
@click.option("--once", is_flag=True, help="Show it once and end.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each change; with --once a single one.")
def command(name: str | None, once: bool, as_json: bool) -> None:
    """Watch your leases, or the one called NAME: elapsed time, spending, collateral, health, load."""
    home = Home.default()
    if once or not (as_json or sys.stdout.isatty()):
        views = _chosen(asyncio.run(_once(home)), name)
        _show(views, as_json)
    elif as_json:
        asyncio.run(_stream(home, name))
    else:
        _live(home, name)


async def _once(home: Home) -> list[LeaseView]:
    from shale.client.agent import link

    return await link.status(home)


def _chosen(views: list[LeaseView], name: str | None) -> list[LeaseView]:
    chosen = [view for view in views if name in (None, view.name)]
    if name is not None and not chosen:
        raise InputRefused(f"there is no living lease named {name[:64]!r}", "see shale ps")
    return chosen


def _show(views: list[LeaseView], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"leases": [view.to_json() for view in views]}))
        return
    from shale.client.cli.output import console
    from shale.client.tui.panel import panel

    screen = console()
    if not views:
        screen.print("no lease is paid for now")
    for view in views:
        screen.print(panel(view))


async def _stream(home: Home, name: str | None) -> None:
    """One line for each lease whose view has changed, until the reader or the agent goes."""
    from shale.client.agent import link

    last: dict[str, LeaseView] = {}
    async for views in link.watch(home):
        for view in views:
            if name in (None, view.name) and last.get(view.name) != view:
                last[view.name] = view
                print(json.dumps(view.to_json()), flush=True)


def _live(home: Home, name: str | None) -> None:
    from shale.client.agent import link
    from shale.client.tui.app import WatchApp

    app = WatchApp(lambda: link.watch(home), name)
    ending = app.run()
    if app.failure is not None:
        raise app.failure
    if ending is not None:
        from shale.client.cli.end import command as end_command

        with end_command.make_context("end", [ending], parent=click.get_current_context()) as ctx:
            end_command.invoke(ctx)
