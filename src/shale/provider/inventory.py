"""Inventory: the CPUs, memory, disk and GPUs that this machine has."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from shale.errors import ConfigError
from shale.market.offer import Gpu
from shale.market.resources import Resources
from shale.provider.config import ProviderConfig
from shale.units import parse_bytes

_HOST_MEMORY_RESERVE = 1 << 30
"""Memory that is never offered: the host's own daemons need it."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to lease. `gpu_ids` are the UUIDs, in the order of `gpus`."""

    resources: Resources
    cpu_model: str
    gpus: tuple[Gpu, ...]
    gpu_ids: tuple[str, ...]


def survey(config: ProviderConfig, disk_at: Path) -> Machine:
    """Look at the machine, within the limits that the settings name."""
    gpus, gpu_ids = _gpus()
    millis = len(os.sched_getaffinity(0)) * 1000
    if config.cpus:
        try:
            millis = min(millis, round(float(config.cpus) * 1000))
        except ValueError:
            raise ConfigError(f"stock.cpus = {config.cpus!r} is not a number", "write it as 2 or 1.5") from None
    memory = max(0, _memory() - _HOST_MEMORY_RESERVE)
    if config.memory_stock:
        memory = min(memory, parse_bytes(config.memory_stock))
    disk = shutil.disk_usage(disk_at).free
    if config.disk:
        disk = min(disk, parse_bytes(config.disk))
    return Machine(Resources(millis, memory, disk, len(gpus)), _cpu_model(), gpus, gpu_ids)


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return os.uname().machine
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return "".join(char for char in value.strip() if char.isprintable())[:128]
    return os.uname().machine


def _gpus() -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """NVIDIA's GPUs by NVML; none where its library isn't there."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return (), ()
    try:
        gpus, ids = [], []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            gpus.append(Gpu(str(pynvml.nvmlDeviceGetName(handle)), int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)))
            ids.append(str(pynvml.nvmlDeviceGetUUID(handle)))
        return tuple(gpus), tuple(ids)
    finally:
        pynvml.nvmlShutdown()
