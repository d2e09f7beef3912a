"""The driver's socket: one living process each, found by the engine, or given by systemd."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shale.datasets.driver_socket import _bound, check_spec_file, is_served, passed_socket
from shale.errors import ConfigError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "shale.sock"


def test_only_its_owner_may_connect_and_nothing_stays(place: Path) -> None:
    with _bound(place, "shale") as listener:
        assert place.stat().st_mode & 0o777 == 0o600
        assert is_served(place)
        assert not listener.get_inheritable()
    assert not place.exists()


def test_a_second_living_process_is_a_config_error(place: Path) -> None:
    with _bound(place, "shale"):
        taken = pytest.raises(ConfigError, match=r"another process serves the volume driver shale .*volume_driver")
        with taken, _bound(place, "shale"):
            pass
        assert is_served(place), "the first one's socket stays"


def test_the_socket_of_a_dead_process_is_replaced(place: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(place))
    dead.close()
    assert place.exists()
    with _bound(place, "shale"):
        assert is_served(place)


def test_a_file_in_the_way_is_left_alone(place: Path) -> None:
    place.write_text("mine")
    with pytest.raises(ConfigError, match="in the way"), _bound(place, "shale"):
        pass
    assert place.read_text() == "mine"


def test_a_path_too_long_for_a_socket_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too long"), _bound(tmp_path / ("x" * 120), "shale"):
        pass


def test_a_user_is_told_the_command_that_makes_the_spec(tmp_path: Path, place: Path) -> None:
    specs = (tmp_path / "etc", tmp_path / "lib")
    with pytest.raises(ConfigError) as caught:
        check_spec_file("shale", place, specs)
    assert f"echo unix://{place} | sudo tee {specs[0]}/shale.spec" in caught.value.hint
    command = caught.value.hint.removeprefix("run once: ").replace("sudo ", "")
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    check_spec_file("shale", place, specs)
    (specs[0] / "shale.spec").write_text("unix:///elsewhere.sock")
    with pytest.raises(ConfigError):
        check_spec_file("shale", place, specs)


def test_sockets_for_another_process_are_not_ours() -> None:
    assert passed_socket({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None
    assert passed_socket({}) is None


def test_more_than_one_socket_from_systemd_is_a_config_error() -> None:
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}
    with pytest.raises(ConfigError, match="passed 2 sockets"):
        passed_socket(environment)
    assert not environment


def test_the_socket_from_systemd_is_taken(place: Path) -> None:
    """In a process of its own, whose third descriptor is the socket's."""
    script = (
        "import os, sys\n"
        "from shale.datasets.driver_socket import driver_socket\n"
        "os.dup2(int(sys.argv[1]), 3)\n"
        "os.environ['LISTEN_PID'] = str(os.getpid())\n"
        "with driver_socket('unused') as listener:\n"
        "    print(listener.getsockname(), listener.get_inheritable(), 'LISTEN_FDS' in os.environ)\n"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        command = [sys.executable, "-c", script, str(listener.fileno())]
        environment = os.environ | {"LISTEN_FDS": "1"}
        done = subprocess.run(
            command, env=environment, pass_fds=[listener.fileno()], capture_output=True, text=True, check=False
        )
    assert done.stdout.split() == [str(place), "False", "False"], done.stderr
    assert place.exists(), "it is systemd's to remove"
