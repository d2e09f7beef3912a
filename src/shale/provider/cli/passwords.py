"""Passwords: how a provider's command gets the one of the operator's key."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shale.errors import ConfigError

password_file = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="SHALE_PASSWORD_FILE",
    help="File with the password of the operator's key.",
)


def password_of(file: Path | None, confirm: bool = False) -> str:
    """The password from a file, or typed by a person; never from an argument or the environment."""
    if file is not None:
        return file.read_text().rstrip("\n")
    if not sys.stdin.isatty():
        raise ConfigError("the operator's key needs its password", "give --password-file")
    return str(click.prompt("Password of the operator's key", hide_input=True, confirmation_prompt=confirm))
