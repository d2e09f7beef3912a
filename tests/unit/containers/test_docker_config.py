"""What is asked of Docker for a tenant: the limits, the rights, and the keys."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shale.containers.docker_config import container_name, create_body, keys_archive, network_name
from shale.containers.engine import ContainerSpec, Mount, Volume
from shale.errors import ConfigError, InputRefused
from shale.market.resources import Resources
from shale.units import LeaseId

LEASE = LeaseId("0x" + "b1" * 31)
SPEC = ContainerSpec(
    LEASE, "quiet-lake", "shale/base:latest", Resources(1500, 2**30, 2**32), Path("/guest"), Path("/keys")
)
PROVIDER = "0xABCDEF0123456789abcdef0123456789ABCDEF01"


def host_config(spec: ContainerSpec, *, limit_disk: bool = False) -> dict[str, Any]:
    config: dict[str, Any] = create_body(PROVIDER, spec, limit_disk=limit_disk)["HostConfig"]
    return config


def test_names_tell_the_provider_and_the_lease() -> None:
    assert network_name(PROVIDER) == "shale-abcdef01"
    assert container_name(PROVIDER, LEASE) == f"shale-abcdef01-{'b1' * 31}"


def test_a_tenant_gets_what_was_ordered_and_no_swap() -> None:
    config = host_config(SPEC)
    assert config["NanoCpus"] == 1_500_000_000
    assert config["Memory"] == config["MemorySwap"] == 2**30
    assert config["ShmSize"] == 2**29
    assert config["PidsLimit"] == 1024 + 2 * 512


def test_a_tenant_is_never_privileged() -> None:
    config = host_config(SPEC)
    assert config["CapDrop"] == ["ALL"]
    assert not {"NET_RAW", "MKNOD", "SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "ALL"} & set(config["CapAdd"])
    assert config["SecurityOpt"] == ["no-new-privileges"]
    assert not {"Privileged", "Devices", "PidMode", "UsernsMode", "Binds"} & set(config)


def test_every_mount_is_read_only_and_private() -> None:
    config = host_config(replace(SPEC, mounts=(Mount(Path("/mnt/a"), "/data"),)))
    assert [mount["Target"] for mount in config["Mounts"]] == ["/.shale/bin", "/data"]
    for mount in config["Mounts"]:
        assert mount["ReadOnly"] is True
        assert mount["BindOptions"] == {"Propagation": "rprivate"}


def test_a_volume_comes_read_only_from_its_driver_and_takes_nothing_of_the_image() -> None:
    config = host_config(replace(SPEC, volumes=(Volume("bafy.b1", "shale", "/data"),)))
    [volume] = [mount for mount in config["Mounts"] if mount["Type"] == "volume"]
    assert (volume["Source"], volume["Target"], volume["ReadOnly"]) == ("bafy.b1", "/data", True)
    assert volume["VolumeOptions"]["DriverConfig"] == {"Name": "shale"}
    assert volume["VolumeOptions"]["NoCopy"] is True


def test_a_volume_takes_no_place_of_the_systems_but_its_own() -> None:
    host_config(replace(SPEC, volumes=(Volume("v", "shale", "/.shale/dataset"),)))
    for target in ("/.shale/bin", "/.shale/dataset/x", "/etc", "data"):
        with pytest.raises(InputRefused):
            host_config(replace(SPEC, volumes=(Volume("v", "shale", target),)))
    with pytest.raises(InputRefused, match="one mount point"):
        host_config(replace(SPEC, volumes=(Volume("v", "shale", "/data"), Volume("w", "shale", "/data"))))


def test_the_images_own_command_does_not_run() -> None:
    body = create_body(PROVIDER, SPEC, limit_disk=False)
    assert body["Entrypoint"][0] == "/.shale/bin/shale-guest"
    assert (body["Cmd"], body["User"], body["Healthcheck"]) == ([], "0:0", {"Test": ["NONE"]})


def test_the_disk_is_limited_where_the_driver_can() -> None:
    assert "StorageOpt" not in host_config(SPEC)
    assert host_config(SPEC, limit_disk=True)["StorageOpt"] == {"size": str(2**32)}
    free = replace(SPEC, resources=replace(SPEC.resources, disk_bytes=0))
    assert "StorageOpt" not in host_config(free, limit_disk=True)


def test_only_the_leases_gpus_are_handed_over() -> None:
    assert "DeviceRequests" not in host_config(SPEC)
    (request,) = host_config(replace(SPEC, gpus=("GPU-1", "GPU-2")))["DeviceRequests"]
    assert request["DeviceIDs"] == ["GPU-1", "GPU-2"]
    assert request["Capabilities"] == [["gpu", "compute", "utility"]]


def test_the_keys_are_roots_alone_and_nothing_else_is_taken_along(tmp_path: Path) -> None:
    for name in ("host_key", "authorized_keys", "environment", "secret"):
        (tmp_path / name).write_text(name)
    with tarfile.open(fileobj=io.BytesIO(keys_archive(tmp_path))) as tar:
        members = {member.name: member for member in tar.getmembers()}
    files = {name for name, member in members.items() if member.isfile()}
    assert files == {f".shale/keys/{name}" for name in ("host_key", "authorized_keys", "environment")}
    assert members[".shale/keys"].mode == 0o700
    assert {members[name].mode for name in files} == {0o600}
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}


@pytest.mark.parametrize("wrong", ["missing", "folder", "huge"])
def test_keys_that_are_not_small_files_are_told(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "authorized_keys").write_text("key")
    if wrong == "folder":
        (tmp_path / "host_key").mkdir()
    elif wrong == "huge":
        (tmp_path / "host_key").write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="host_key"):
        keys_archive(tmp_path)
