"""Stage: two homes, a chain and a provider process for the demo; whatever happens, nothing of it stays."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from shale.datasets.driver_socket import is_served, place_of
from shale.errors import Refused, Unavailable, from_wire
from shale.paths import Home, cache_dir, keys_dir, private_dir, write_private


class Stage:
    """Runs `shale` as the provider and as the client, each in its own home and processes."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._shale = [str(Path(sys.executable).with_name("shale"))]
        self._provider_process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Stage:
        # Not below /tmp: sshd trusts no key list there. And short: a Unix socket's path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="demo-", dir=private_dir(cache_dir())))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.provider_home = Home(private_dir(self.folder / "p"))
        self.client_home = Home(private_dir(self.folder / "c"))
        self.rpc_port, self.api_port, self.gateway_port, self.lotus_port = _free_ports(4)
        self.volume_driver = _driver_name(self.api_port)
        for home in (self.provider_home, self.client_home):
            write_private(home.root / "password", secrets.token_hex(16).encode())
        return self

    def __exit__(self, *_: object) -> None:
        # One Ctrl-C is enough: a second one must not stop the clearing.
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [signal.signal(number, signal.SIG_IGN) for number in signals]
        try:
            self._clear()
        finally:
            self._stack.close()
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)

    def _clear(self) -> None:
        for home, words in (
            (self.client_home, ["agent", "stop"]),
            (self.provider_home, ["provider", "down", "--end"]),
        ):
            subprocess.run(
                [*self._shale, *words], env=self._environment(home), capture_output=True, check=False, timeout=60
            )
        if self._provider_process is not None:
            try:
                self._provider_process.wait(30)
            except subprocess.TimeoutExpired:
                self._provider_process.kill()
                self._provider_process.wait()
        subprocess.run(
            [*self._shale, "chain", "down"],
            env=self._environment(self.provider_home),
            capture_output=True,
            check=False,
            timeout=60,
        )

    def _environment(self, home: Home) -> dict[str, str]:
        return {
            **os.environ,
            "SHALE_HOME": str(home.root),
            "SHALE_KEYS": str(keys_dir()),
            "SHALE_PASSWORD_FILE": str(home.root / "password"),
            "HOME": str(home.root),
            "NO_COLOR": "1",
        }

    def provider(self, *words: str, timeout: float = 300) -> Any:
        """Run a `shale` command as the provider and give its JSON."""
        return self._run(self.provider_home, words, timeout)

    def client(self, *words: str, timeout: float = 300) -> Any:
        """Run a `shale` command as the client and give its JSON."""
        return self._run(self.client_home, words, timeout)

    def _run(self, home: Home, words: tuple[str, ...], timeout: float) -> Any:
        done = subprocess.run(
            [*self._shale, *words, "--json"],
            env=self._environment(home),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "")
        try:
            raw = json.loads(last) if last else None
        except ValueError:
            raw = None
        if done.returncode != 0:
            if isinstance(raw, dict) and "error" in raw:
                error = raw["error"]
                raise from_wire(error.get("code", ""), error.get("message", ""), error.get("hint", ""))
            tail = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise Refused(f"shale {' '.join(words[:3])} failed ({tail[0][:300]})")
        return raw

    def share_network(self) -> None:
        """Give the client the file that names the network, as a provider's web page would."""
        shutil.copytree(self.provider_home.networks, self.client_home.networks)

    def raise_provider(self) -> dict[str, Any]:
        """Start the provider's daemon as a process of its own; returns when it serves."""
        raw, self._provider_process = self._raise("provider", "provider", "up")
        return raw

    def kill_provider(self) -> None:
        """End the provider's daemon as a crash does, with nothing cleared up."""
        assert self._provider_process is not None, "it was raised before"
        self._provider_process.kill()
        self._provider_process.wait()
        self._provider_process = None

    def raise_lotus(self, claims: Path) -> str:
        """Start the Lotus-shaped endpoint over a file of claims; its URL."""
        raw, process = self._raise("lotus", "chain", "lotus", "--claims", str(claims), "--port", str(self.lotus_port))

        def end() -> None:
            process.terminate()
            process.wait(30)

        self._stack.callback(end)
        return str(raw["url"])

    def _raise(self, name: str, *words: str) -> tuple[dict[str, Any], subprocess.Popen[str]]:
        """Start a long-lived `shale` command of the provider's; what it says once it is ready."""
        log = (self.folder / f"{name}.log").open("w")
        self._stack.callback(log.close)
        process = subprocess.Popen(
            [*self._shale, *words, "--json"],
            env=self._environment(self.provider_home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None, "asked for a pipe"
        line = process.stdout.readline()
        if not line.strip():
            raise Unavailable(f"the {name} did not start ({self._last_log_line(name)})", "see the message above")
        raw = json.loads(line)
        if "error" in raw:
            raise from_wire(raw["error"]["code"], raw["error"]["message"], raw["error"]["hint"])
        return dict(raw), process

    def _last_log_line(self, name: str) -> str:
        lines = (self.folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "no message"

    def ssh(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run plain ssh or scp with the client's configuration."""
        config = str(self.client_home.client / "ssh" / "config")
        return subprocess.run(
            [program, "-F", config, *words],
            env=self._environment(self.client_home),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            stdin=subprocess.DEVNULL,
        )

    def ssh_lines(self, name: str, command: str) -> Iterator[str]:
        """Run a command in the lease by plain ssh and yield its output as it comes. Raises Refused if it fails."""
        config = str(self.client_home.client / "ssh" / "config")
        with subprocess.Popen(
            ["ssh", "-F", config, f"shale-{name}", command],
            env=self._environment(self.client_home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None, "asked for a pipe"
            last = ""
            for line in process.stdout:
                last = line.rstrip("\n")
                yield last
        if process.returncode != 0:
            raise Refused(f"the command in the lease failed with {process.returncode} ({last[:300]})")


def _driver_name(port: int) -> str:
    """The same name each time, but while another demo runs: an engine forgets no driver that it has heard of."""
    name = "shale-demo"
    return f"{name}-{port}" if is_served(place_of(name)) else name


def _free_ports(count: int) -> list[int]:
    """Ports that are free now; they are taken a moment later, and whoever loses that race says so in one line."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in sockets]
