"""Devnet: a stale or broken record is never taken for a running chain; a taken port is told in one line."""

import json
import os
import socket
from pathlib import Path

import pytest

from shale.chain import devnet
from shale.chain.devnet import Devnet, anvil
from shale.errors import ConfigError, Unavailable
from shale.process import started


@pytest.mark.parametrize(
    "record",
    ["", "{", "[]", "{}", '{"pid": "x", "port": 1, "started": 1}', '{"pid": 1, "port": 8545, "started": 5}'],
)
async def test_a_record_of_nothing_is_not_a_running_chain(tmp_path: Path, record: str) -> None:
    (tmp_path / "anvil.json").write_text(record)
    assert not (await Devnet(tmp_path).status()).running
    assert not await Devnet(tmp_path).stop()


async def test_another_process_with_the_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    """This very process has the pid; it began at another time than the record says."""
    record = {"pid": os.getpid(), "port": 8545, "started": started(os.getpid()) + 1}
    (tmp_path / "anvil.json").write_text(json.dumps(record))
    assert not await Devnet(tmp_path).stop()


async def test_nothing_is_made_by_asking(tmp_path: Path) -> None:
    folder = tmp_path / "devnet"
    assert not (await Devnet(folder).status()).running
    assert not await Devnet(folder).stop()
    assert not folder.exists()


async def test_a_port_in_use_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devnet, "anvil", lambda: tmp_path / "never-started")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} is in use"):
            await Devnet(tmp_path).start(port)
    assert not (tmp_path / "anvil.json").exists()


async def test_two_starts_at_once_do_not_cross(tmp_path: Path) -> None:
    chain = Devnet(tmp_path)
    with chain._locked(), pytest.raises(Unavailable, match="try again"):
        await chain.start()


def test_a_missing_anvil_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devnet.shale, "__file__", str(tmp_path / "a" / "b" / "c" / "__init__.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="make install"):
        anvil()
