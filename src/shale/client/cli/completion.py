"""Completion: the script that teaches a shell the names of commands and options."""

from __future__ import annotations

import os
from pathlib import Path

import click

from shale.client.cli.context import json_option
from shale.client.cli.output import emit
from shale.errors import InputRefused


@click.command()
@click.argument("shell", required=False, type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def command(shell: str | None, as_json: bool) -> None:
    """Print the completion script of SHELL (by default yours): eval "$(shale completion)"."""
    from click.shell_completion import get_completion_class

    from shale.client.cli.main import cli

    name = shell or Path(os.environ.get("SHELL", "")).name
    found = get_completion_class(name)
    if found is None:
        raise InputRefused(f"there is no completion for the shell {name!r}", "name bash, zsh or fish")
    script = found(cli, {}, "shale", "_SHALE_COMPLETE").source()
    if as_json:
        emit({"shell": name, "script": script})
    else:
        click.echo(script)
