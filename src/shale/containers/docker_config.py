"""What a lease's container may do, as the body of Docker's create call; names and labels to find it by."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from shale.containers.engine import ContainerSpec, Mount, Volume
from shale.containers.spec import check_spec, port_of
from shale.errors import ConfigError
from shale.units import LeaseId

PROVIDER_LABEL = "org.shale.provider"
LEASE_LABEL = "org.shale.lease"

_GUEST_DIR = "/.shale/bin"
_KEYS_DIR = ".shale/keys"
_KEY_FILES = {"host_key": True, "authorized_keys": True, "environment": False, "motd": False}
"""The files that the guest reads, and which of them it must have."""
_MAX_KEY_FILE = 1 << 20

CAPABILITIES = (
    "AUDIT_WRITE",  # PAM fails for root without it: su, passwd, useradd
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETPCAP",  # programs that shed their capabilities; it gives none back
    "SETUID",
    "SYS_CHROOT",
)
"""Of Docker's default set these are left out: NET_RAW (forged ARP on the bridge), MKNOD, and SETFCAP (without
it packages fall back from file capabilities, which this set could not honour, to modes that work)."""


def network_name(provider: str) -> str:
    return f"shale-{provider.removeprefix('0x')[:8].lower()}"


def container_name(provider: str, lease: LeaseId) -> str:
    """One name for each lease, so that Docker itself refuses a second container of it."""
    return f"{network_name(provider)}-{lease[2:]}"


def create_body(provider: str, spec: ContainerSpec, *, limit_disk: bool) -> dict[str, Any]:
    """The body of ``POST /containers/create``. Raises InputRefused for what no container can be made of."""
    check_spec(spec)
    return {
        "Image": spec.image,
        "Entrypoint": [f"{_GUEST_DIR}/shale-guest", "--dir", f"/{_KEYS_DIR}", "--listen", f":{port_of(spec.lease)}"],
        "Cmd": [],
        "Hostname": spec.name,
        "User": "0:0",
        "WorkingDir": "/",
        "Env": [f"{name}={value}" for name, value in sorted(spec.environment.items())],
        "Labels": {PROVIDER_LABEL: provider, LEASE_LABEL: spec.lease},
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(provider, spec, limit_disk=limit_disk),
    }


def _host_config(provider: str, spec: ContainerSpec, *, limit_disk: bool) -> dict[str, Any]:
    memory = spec.resources.memory_bytes
    config: dict[str, Any] = {
        "NanoCpus": spec.resources.cpu_millis * 1_000_000,
        "Memory": memory,
        "MemorySwap": memory,  # the sum of both: no swap beyond the memory
        "PidsLimit": 1024 + 512 * -(-spec.resources.cpu_millis // 1000),
        "ShmSize": max(memory // 2, 1 << 20),  # loaders of training frameworks share tensors through it
        "OomScoreAdj": 500,  # when the host itself runs short, its daemons live longer than tenants
        "Init": False,  # the guest reaps as PID 1
        "CapDrop": ["ALL"],
        "CapAdd": list(CAPABILITIES),
        "SecurityOpt": ["no-new-privileges"],
        # ping without raw sockets; the groups that a user-namespace remapping has
        "Sysctls": {"net.ipv4.ping_group_range": "0 65535"},
        # Under a user-namespace remapping limits can only be lowered, so the engine's own hold for the rest.
        "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
        "IpcMode": "private",
        "NetworkMode": network_name(provider),
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
        "Mounts": [
            *(_mount(mount) for mount in (Mount(spec.guest, _GUEST_DIR), *spec.mounts)),
            *(_volume(volume, provider, spec.lease) for volume in spec.volumes),
        ],
    }
    if spec.gpus:
        config["DeviceRequests"] = [
            {
                "Driver": "nvidia",
                "DeviceIDs": list(spec.gpus),
                "Capabilities": [["gpu", "compute", "utility"]],
            }
        ]
    if limit_disk and spec.resources.disk_bytes:
        config["StorageOpt"] = {"size": str(spec.resources.disk_bytes)}
    return config


def keys_archive(keys: Path) -> bytes:
    """The lease's keys as a tar over the container's root, owned by its root, closed to others.

    They are copied in, not mounted: under a user-namespace remapping the container's root is another user on
    the host, who could read a mounted host key only if it were opened to him there.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for folder, mode in ((str(PurePosixPath(_KEYS_DIR).parent), 0o755), (_KEYS_DIR, 0o700)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for name, needed in _KEY_FILES.items():
            data = _read_key_file(keys / name, needed=needed)
            if data is not None:
                entry = tarfile.TarInfo(f"{_KEYS_DIR}/{name}")
                entry.size, entry.mode = len(data), 0o600
                tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


def _read_key_file(path: Path, *, needed: bool) -> bytes | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_KEY_FILE:
            raise ConfigError(f"{path} is not a small plain file", "write the lease's keys again")
        return path.read_bytes()
    except FileNotFoundError:
        if needed:
            raise ConfigError(f"{path} is missing", "write the lease's keys before its container starts") from None
        return None


def _mount(mount: Mount) -> dict[str, Any]:
    """Read-only and private: later mounts of the host don't reach the container, nor its own the host."""
    return {
        "Type": "bind",
        "Source": str(mount.source),
        "Target": mount.target,
        "ReadOnly": True,
        "BindOptions": {"Propagation": "rprivate"},
    }


def _volume(volume: Volume, provider: str, lease: LeaseId) -> dict[str, Any]:
    return {
        "Type": "volume",
        "Source": volume.name,
        "Target": volume.target,
        "ReadOnly": True,
        "VolumeOptions": {
            "NoCopy": True,  # an image's files at that place are no part of the dataset
            "DriverConfig": {"Name": volume.driver},
            "Labels": {PROVIDER_LABEL: provider, LEASE_LABEL: lease},
        },
    }
