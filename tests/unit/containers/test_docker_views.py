"""Docker's answers, as engines with cgroup v1 and v2 give them."""

from __future__ import annotations

from typing import Any

import pytest

from shale.containers.docker_connection import engine_errors, one_line
from shale.containers.docker_views import container_from, is_half_made, usage_from
from shale.containers.engine import ContainerState, Usage
from shale.containers.spec import port_of
from shale.errors import Closed, ConfigError, Refused, Unavailable
from shale.units import LeaseId

LEASE = "0x" + "b1" * 31


def inspected(status: str, exit_code: int = 0, address: str = "172.18.0.2") -> dict[str, Any]:
    return {
        "Config": {"Labels": {"org.shale.lease": LEASE}},
        "State": {"Status": status, "ExitCode": exit_code},
        "NetworkSettings": {"Networks": {"shale-x": {"IPAddress": address}}},
    }


@pytest.mark.parametrize(
    ("status", "state", "code"),
    [
        ("running", ContainerState.RUNNING, None),
        ("paused", ContainerState.PAUSED, None),
        ("exited", ContainerState.EXITED, 3),
        ("dead", ContainerState.EXITED, 3),
        ("removing", ContainerState.EXITED, 3),
    ],
)
def test_a_container_is_read(status: str, state: ContainerState, code: int | None) -> None:
    container = container_from(inspected(status, 3))
    assert (container.lease, container.state, container.exit_code) == (LEASE, state, code)
    assert (container.address, container.port) == ("172.18.0.2", port_of(LeaseId(LEASE)))


def test_leases_that_follow_each_other_at_an_address_have_other_ports() -> None:
    ports = {port_of(LeaseId(f"0x{number:062x}")) for number in range(10_000)}
    assert len(ports) == 10_000
    assert all(20_000 <= port < 32_000 for port in ports)


def test_an_exited_container_has_no_address() -> None:
    assert container_from(inspected("exited", address="")).address == ""
    assert container_from({**inspected("exited"), "NetworkSettings": {"Networks": None}}).address == ""


def test_one_never_started_is_half_made() -> None:
    assert is_half_made(inspected("created"))
    assert not is_half_made(inspected("exited"))


@pytest.mark.parametrize("cache", ["total_inactive_file", "inactive_file"])
def test_memory_is_counted_without_the_cache(cache: str) -> None:
    raw = {
        "cpu_stats": {"cpu_usage": {"total_usage": 7}},
        "memory_stats": {"usage": 1000, "limit": 4000, "stats": {cache: 300}},
    }
    assert usage_from(raw) == Usage(7, 700, 4000)


def test_a_container_that_does_not_run_has_no_usage() -> None:
    assert usage_from({"cpu_stats": {}, "memory_stats": {}}) is None
    assert usage_from({}) is None


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "no such container", Closed),
        (409, "conflict", Refused),
        (500, "OCI runtime create failed", Refused),
        (900, "Cannot connect", Unavailable),
        (900, "Cannot connect [Permission denied]", ConfigError),
    ],
)
def test_each_answer_says_what_to_do_next(status: int, message: str, kind: type[Exception]) -> None:
    from aiodocker.exceptions import DockerError

    with pytest.raises(kind) as caught, engine_errors("start the container"):
        raise DockerError(status, message)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_a_line_from_a_container_is_made_harmless() -> None:
    assert one_line("first\n\x1b[2Jlast\r\n\n") == "?[2Jlast"
    assert len(one_line("x" * 5000)) == 300
    assert one_line("") == ""
