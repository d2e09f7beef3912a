"""Ssh-config: write the file by which ssh finds your leases, and, with your consent, tell ssh of it."""

from __future__ import annotations

import click

from shale.client.cli.context import Context, confirm, json_option
from shale.client.cli.output import emit
from shale.errors import InputRefused


@click.command()
@click.option("--install", is_flag=True, help="Add one Include line to ~/.ssh/config.")
@click.option("--remove", is_flag=True, help="Take that line out again.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@json_option
def command(install: bool, remove: bool, yes: bool, as_json: bool) -> None:
    """Write the ssh configuration of your leases; with --install, plain ssh shale-NAME finds them."""
    from shale.client import sshconfig
    from shale.client.store import Store

    if install and remove:
        raise InputRefused("--install and --remove exclude each other", "give one of them")
    context = Context()
    store = Store(context.home)
    try:
        path = sshconfig.write_ssh_config(context.home, store.rentals(living=True))
    finally:
        store.close()
    user, line = sshconfig.user_config(), sshconfig.include_line(context.home)
    changed = False
    if install and not sshconfig.is_installed(context.home):
        changed = confirm(f"Add to {user}: {line}?", yes) and sshconfig.install(context.home)
    elif remove:
        changed = sshconfig.remove(context.home)
    installed = sshconfig.is_installed(context.home)
    if as_json:
        emit(
            {"config": str(path), "installed": installed, "changed": changed, "include": line, "user_config": str(user)}
        )
    elif installed:
        click.echo(f"{user} includes {path}: use ssh shale-NAME")
    else:
        click.echo(f"{path} is written: use ssh -F {path} shale-NAME, or shale ssh-config --install")
