"""Context: what commands share: home, settings, network, password, and a run of asyncio that ends cleanly."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from shale.client.config import ClientConfig, load_config
from shale.errors import ConfigError, InputRefused
from shale.paths import Home

T = TypeVar("T")

MAX_PASSWORD_FILE = 4096

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
password_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    envvar="SHALE_PASSWORD_FILE",
    help="A file that holds the wallet's password (also: SHALE_PASSWORD_FILE). Otherwise you are asked.",
)

again_option = click.option(
    "--again", is_flag=True, help="Go on where an earlier command, which was killed, has done the same kind of thing."
)


class Context:
    """What one call of the command knows before it reads anything."""

    def __init__(self) -> None:
        self.home = Home.default()
        self.config: ClientConfig = load_config(self.home)
        found = click.get_current_context(silent=True)
        chosen = found.find_root().obj if found else None
        self._network: str | None = chosen.get("network") if isinstance(chosen, dict) else None

    @property
    def network_name(self) -> str | None:
        """What --network or the settings name; None for the only one there is."""
        return self._network or self.config.network or None

    def password(self, file: Path | None, prompt: str = "Wallet password", *, confirm: bool = False) -> str:
        """The password from its file or from the terminal. Raises ConfigError when there is neither."""
        chosen = file or (Path(self.config.password_file) if self.config.password_file else None)
        if chosen is not None:
            return read_password(chosen)
        if not sys.stdin.isatty():
            raise ConfigError("the wallet's password is needed", "give --password-file FILE")
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))


def read_password(path: Path) -> str:
    """The first line of a file that only its owner can read. Raises ConfigError otherwise."""
    try:
        with path.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            data = handle.read(MAX_PASSWORD_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{path} can't be read ({error.strerror})", "give another --password-file") from None
    if mode & 0o077:
        raise ConfigError(f"others can read {path}", f"chmod 600 {path}")
    if len(data) > MAX_PASSWORD_FILE:
        raise ConfigError(f"{path} is too large for a password", "give another --password-file")
    try:
        password = data.decode().split("\n", 1)[0].rstrip("\r")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text", "give another --password-file") from None
    if not password:
        raise ConfigError(f"{path} holds no password", "write it on the first line")
    return password


def run_async(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end; Ctrl-C and SIGTERM cancel the work, so that it clears up, and end the program."""
    stopped: list[int] = []

    async def guarded() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "runs inside a task"

        def stop(number: int) -> None:
            stopped.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        return await work()

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        if stopped and stopped[0] == signal.SIGTERM:
            raise SystemExit(143) from None
        raise KeyboardInterrupt from None


def confirm(question: str, yes: bool) -> bool:
    """Ask, unless `yes`. Raises InputRefused where nobody can be asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputRefused("nobody is there to confirm", "add -y to go on without asking")
    # Inside the event loop its handlers would swallow a Ctrl-C at the prompt.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return click.confirm(question, err=True)
    finally:
        signal.signal(signal.SIGINT, before)
