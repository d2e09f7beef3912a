"""Run: one command in a lease's container, by plain ssh; its exit status is ours."""

from __future__ import annotations

import os
import shlex
import subprocess
import time

import click

from shale.client.cli.context import Context, json_option
from shale.client.cli.output import emit
from shale.errors import Closed, ConfigError


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@json_option
@click.argument("name")
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)
def command(name: str, cmd: tuple[str, ...], tty: bool, as_json: bool) -> None:
    """Run CMD in the container of lease NAME: shale run NAME -- python3 train.py.

    A single CMD is a line for the remote shell; several words are passed on exactly as they are.
    """
    line = cmd[0] if len(cmd) == 1 else shlex.join(cmd)
    arguments = [*ssh_arguments(Context(), name, tty), line]
    try:
        if not as_json:
            os.execvp(arguments[0], arguments)  # noqa: S606 - no shell is what we want
        began = time.monotonic()
        done = subprocess.run(arguments, capture_output=True, check=False)
    except FileNotFoundError:
        raise ConfigError("ssh is not installed", "install the package openssh-client") from None
    emit(
        {
            "exit_status": done.returncode,
            "stdout": done.stdout.decode(errors="replace"),
            "stderr": done.stderr.decode(errors="replace"),
            "seconds": round(time.monotonic() - began, 3),
        }
    )
    click.get_current_context().exit(done.returncode)


def ssh_arguments(context: Context, name: str, tty: bool) -> list[str]:
    """The ssh command that reaches a living lease. Raises Closed when it has ended or isn't ready."""
    from shale.client.rental import checked_name
    from shale.client.sshconfig import config_path, is_written

    # The books are opened only to say why not: loading what reads them takes longer than the whole command.
    if not is_written(context.home, checked_name(name)):
        raise _why_not(context, name)
    return ["ssh", "-F", str(config_path(context.home)), *(["-t"] if tty else []), f"shale-{name}", "--"]


def _why_not(context: Context, name: str) -> Closed:
    from shale.client.store import Store

    store = Store(context.home)
    try:
        rental = store.rental(name)
    finally:
        store.close()
    if rental.ended:
        return Closed(f"the lease {name} has ended ({rental.end_reason.text})", "begin another with shale up")
    if rental.shell is None:
        return Closed(f"the lease {name} is not ready yet", "see shale ps")
    return Closed(f"the ssh configuration lacks the lease {name}", "write it again: shale ssh-config")
