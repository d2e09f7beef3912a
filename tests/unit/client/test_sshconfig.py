"""The ssh configuration: pinned keys, only leases that can be entered, and one line in the user's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shale.client import sshconfig
from shale.errors import ConfigError
from shale.market.lease import EndReason
from shale.paths import Home


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".ssh" / "config"


async def test_a_running_lease_is_written_with_both_host_keys_pinned(bench: Any) -> None:
    rental = await bench.lease()
    text = sshconfig.config_path(bench.home).read_text()
    assert "Host shale-one\n    HostName 172.19.0.2\n    Port 22\n    User root\n" in text
    assert "Host shale-gateway-one\n    HostName fjord.example\n    Port 8422\n    User shale-gateway\n" in text
    assert text.count("StrictHostKeyChecking yes") == 2
    assert sshconfig.known_hosts_path(bench.home).read_text() == (
        f"shale-one {rental.acceptance.host_key}\nshale-gateway-one {rental.gateway.host_key}\n"
    )


async def test_an_ended_lease_is_written_no_more(bench: Any) -> None:
    rental = await bench.lease()
    bench.store.end(rental.id, EndReason.CLIENT_ENDED, 5)
    sshconfig.write_ssh_config(bench.home, bench.store.rentals())
    assert "Host" not in sshconfig.config_path(bench.home).read_text()
    assert sshconfig.known_hosts_path(bench.home).read_text() == ""


async def test_a_home_too_deep_for_a_socket_goes_without_a_shared_connection(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rental = await bench.lease()
    deep = Home(tmp_path / ("d" * 120))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert "ControlPath" not in sshconfig.write_ssh_config(deep, [rental]).read_text()
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert (
        f'ControlPath "/run/user/1000/cm-{rental.id[2:18]}"' in sshconfig.write_ssh_config(deep, [rental]).read_text()
    )


async def test_percent_signs_and_spaces_of_a_path_are_not_taken_for_tokens(bench: Any, tmp_path: Path) -> None:
    rental = await bench.lease()
    text = sshconfig.write_ssh_config(Home(tmp_path / "a %h b"), [rental]).read_text()
    assert "a %%h b" in text
    assert "a %h b" not in text


async def test_a_path_that_would_break_out_of_its_quotes_is_refused(bench: Any, tmp_path: Path) -> None:
    rental = await bench.lease()
    with pytest.raises(ConfigError, match="can't take the path"):
        sshconfig.write_ssh_config(Home(tmp_path / 'a"b'), [rental])


def test_installing_adds_one_line_on_top_and_removing_gives_the_file_back(user: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "shale")
    user.parent.mkdir()
    before = "# mine\nHost example\n    User me\n"
    user.write_text(before)
    user.chmod(0o644)
    assert sshconfig.install(home)
    assert not sshconfig.install(home)
    assert user.read_text() == f'Include "{sshconfig.config_path(home)}"\n{before}'
    assert user.stat().st_mode & 0o777 == 0o644
    assert sshconfig.remove(home)
    assert not sshconfig.remove(home)
    assert user.read_text() == before


def test_installing_makes_a_private_file_where_there_was_none(user: Path, tmp_path: Path) -> None:
    assert sshconfig.install(Home(tmp_path / "shale"))
    assert user.stat().st_mode & 0o777 == 0o600
    assert user.parent.stat().st_mode & 0o777 == 0o700


def test_a_linked_configuration_stays_a_link(user: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles"
    real.write_text("")
    user.parent.mkdir()
    user.symlink_to(real)
    sshconfig.install(Home(tmp_path / "shale"))
    assert user.is_symlink()
    assert real.read_text().startswith("Include ")


async def test_only_the_agent_asks_to_be_the_master_of_the_shared_connection(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that ask at once quarrel about the socket, and the user's ssh would show it."""
    rental = await bench.lease()
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    text = sshconfig.write_ssh_config(bench.home, [rental]).read_text()
    assert text.count("ControlMaster") == text.count("ControlMaster no") == 1
