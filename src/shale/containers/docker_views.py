"""Docker's answers read as the port's values."""

from __future__ import annotations

from typing import Any

from shale.containers.docker_config import LEASE_LABEL
from shale.containers.engine import Container, ContainerState, Usage
from shale.containers.spec import port_of
from shale.units import LeaseId

_STATES = {"running": ContainerState.RUNNING, "paused": ContainerState.PAUSED}


def container_from(raw: dict[str, Any]) -> Container:
    """From ``GET /containers/{id}/json``. What neither runs nor is paused counts as exited."""
    state = _STATES.get(raw["State"]["Status"], ContainerState.EXITED)
    lease = LeaseId(raw["Config"]["Labels"][LEASE_LABEL])
    return Container(
        lease=lease,
        state=state,
        address=_address(raw),
        port=port_of(lease),
        exit_code=int(raw["State"]["ExitCode"]) if state is ContainerState.EXITED else None,
    )


def is_half_made(raw: dict[str, Any]) -> bool:
    """Created and never started: somebody died between the two."""
    return raw["State"]["Status"] in ("created", "dead")


def volumes_of(raw: dict[str, Any], driver: str | None = None) -> tuple[str, ...]:
    """The names of a container's volumes that come from this driver; None: from any but Docker's own."""
    return tuple(
        str(mount["Name"])
        for mount in raw.get("Mounts") or []
        if mount.get("Type") == "volume" and mount.get("Name") and _comes_from(str(mount.get("Driver")), driver)
    )


def _comes_from(driver: str, wanted: str | None) -> bool:
    return driver not in ("local", "") if wanted is None else driver == wanted


def usage_from(raw: dict[str, Any]) -> Usage | None:
    """From ``GET /containers/{id}/stats``, cgroup v1 and v2; None if it doesn't run.

    Memory is counted as `docker stats` does: without the page cache that the kernel can take back.
    """
    memory = raw.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    used = int(memory["usage"])
    return Usage(
        cpu_nanos=int(raw["cpu_stats"]["cpu_usage"]["total_usage"]),
        memory_bytes=used - int(cache) if cache < used else used,
        memory_limit=int(memory["limit"]),
    )


def _address(raw: dict[str, Any]) -> str:
    networks = raw["NetworkSettings"]["Networks"] or {}
    return next((str(entry["IPAddress"]) for entry in networks.values() if entry.get("IPAddress")), "")
