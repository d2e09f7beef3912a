"""What a container spec may ask for, whatever the engine: part of it was written by a client."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from shale.containers.engine import ContainerSpec
from shale.errors import InputRefused
from shale.units import LeaseId

PROOFS_TARGET = "/.shale/dataset"
"""Where a lease finds what proves its dataset; the one place below /.shale that is no part of every container."""
_SYSTEM = ("/proc", "/sys", "/dev", "/.shale", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64")


_FIRST_PORT, _PORTS = 20_000, 12_000
"""Below the ports that Linux gives to outgoing connections, above those that servers of tenants like."""


def port_of(lease: LeaseId) -> int:
    """Where the lease's SSH server listens in its container.

    A connection to the gateway may open one address and port. One left over from an earlier lease must not reach
    whoever has the address next, so each lease has a port that nobody could foresee.
    """
    return _FIRST_PORT + int(lease, 16) % _PORTS


def check_spec(spec: ContainerSpec) -> None:
    """Raises InputRefused for what no container can, or may, be made of."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", spec.name):
        raise InputRefused(f"{spec.name[:80]!r} cannot be a host name", "use lower-case letters, digits and '-'")
    check_image(spec.image)
    targets = [mount.target for mount in spec.mounts] + [volume.target for volume in spec.volumes]
    for target in targets:
        if target != PROOFS_TARGET:
            check_target(target)
    if len(set(targets)) < len(targets):
        raise InputRefused("two datasets have one mount point", "give each its own")
    for name, value in spec.environment.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name) or "\0" in value or len(value) > 8192:
            raise InputRefused(f"{name[:80]!r} is not an environment variable", "use letters, digits and '_'")


def check_image(name: str) -> None:
    """Raises InputRefused unless it is an image reference; one that passes is safe inside a URL path."""
    if len(name) > 256 or not re.fullmatch(r"[A-Za-z0-9]+(?:(?:[._/:@]|-{1,8}|__)[A-Za-z0-9]+)*", name):
        raise InputRefused(f"{name[:80]!r} is not an image name", "write it as name:tag or name@sha256:…")


def check_target(target: str) -> None:
    """Raises InputRefused unless a dataset can be mounted there: an absolute path, not the system's."""
    path = PurePosixPath(target)
    if (
        not target.isprintable()
        or len(target) > 256
        or not path.is_absolute()
        or str(path) != target
        or len(path.parts) < 2
        or ".." in path.parts
        or target.startswith("//")
    ):
        raise InputRefused(f"{target[:80]!r} cannot be a mount point", "give an absolute path such as /data")
    if any(path.is_relative_to(taken) for taken in _SYSTEM):
        raise InputRefused(f"{target} belongs to the system", "mount it at a path such as /data")
