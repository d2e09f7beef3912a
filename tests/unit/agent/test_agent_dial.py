"""The way to the meter, with a program named ssh in place of the network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from shale.client.agent.dial import SshDial
from shale.errors import Closed, ConfigError
from shale.tunnel.messages import Notice

ECHO = "for line in sys.stdin.buffer: sys.stdout.buffer.write(line); sys.stdout.buffer.flush()"
FLOOD = "while True: sys.stdout.write('x' * 65536)"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    program = folder / "ssh"
    program.write_text(f"#!{sys.executable}\nimport os, sys\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return program


async def test_messages_go_through_the_command_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["-F", "/c", "-o", "ControlMaster=auto", "-T", "shale-gateway-one"]
    install(tmp_path, monkeypatch, f"assert sys.argv[1:] == {command}\n{ECHO}")
    link, hang_up = await SshDial(Path("/c"))("shale-gateway-one")
    await link.send(Notice("maintenance", "hello"))
    assert await link.receive() == Notice("maintenance", "hello")
    await hang_up()


async def test_a_connection_that_is_refused_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "sys.exit(255)")
    link, hang_up = await SshDial(Path("/c"))("shale-gateway-one")
    with pytest.raises(Closed):
        await link.receive()
    await hang_up()


async def test_hanging_up_on_a_flood_leaves_neither_process_nor_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = f"with open({str(tmp_path / 'pid')!r}, 'w') as file: file.write(str(os.getpid()))"
    install(tmp_path, monkeypatch, f"{note}\n{FLOOD}")
    before = len(os.listdir("/proc/self/fd"))
    link, hang_up = await SshDial(Path("/c"))("shale-gateway-one")
    with pytest.raises(Exception, match="too long"):
        await link.receive()
    await hang_up()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the loop's own watch on child processes
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_without_ssh_the_user_is_told_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="install"):
        await SshDial(Path("/c"))("shale-gateway-one")
