"""Resources: what a provider has and what a lease takes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shale.errors import InputRefused, Refused
from shale.units import format_bytes, parse_bytes


@dataclass(frozen=True, slots=True)
class Resources:
    """CPU in thousandths of a core, memory and disk in bytes, whole GPUs."""

    cpu_millis: int
    memory_bytes: int
    disk_bytes: int = 0
    gpus: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.cpu_millis < 2**32 and 0 <= self.gpus < 2**32):
            raise InputRefused("that many CPUs or GPUs is out of range", "ask for less")
        if not (0 <= self.memory_bytes < 2**64 and 0 <= self.disk_bytes < 2**64):
            raise InputRefused("that much memory or disk is out of range", "ask for less")

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.cpu_millis + other.cpu_millis,
            self.memory_bytes + other.memory_bytes,
            self.disk_bytes + other.disk_bytes,
            self.gpus + other.gpus,
        )

    def minus(self, taken: Resources) -> Resources:
        """What is left when `taken` is gone. Raises Refused, naming what is short."""
        shortage = self.shortage(taken)
        if shortage:
            raise Refused(f"not enough {shortage}", "ask for less, or choose another provider")
        return Resources(
            self.cpu_millis - taken.cpu_millis,
            self.memory_bytes - taken.memory_bytes,
            self.disk_bytes - taken.disk_bytes,
            self.gpus - taken.gpus,
        )

    def shortage(self, wanted: Resources) -> str:
        """Which of the wanted resources this doesn't hold, in words; empty if it holds them all."""
        short = []
        if wanted.cpu_millis > self.cpu_millis:
            short.append(f"CPUs ({wanted.cpu_millis / 1000:g} asked, {self.cpu_millis / 1000:g} free)")
        if wanted.memory_bytes > self.memory_bytes:
            asked, free = format_bytes(wanted.memory_bytes), format_bytes(self.memory_bytes)
            short.append(f"memory ({asked} asked, {free} free)")
        if wanted.disk_bytes > self.disk_bytes:
            asked, free = format_bytes(wanted.disk_bytes), format_bytes(self.disk_bytes)
            short.append(f"disk ({asked} asked, {free} free)")
        if wanted.gpus > self.gpus:
            short.append(f"GPUs ({wanted.gpus} asked, {self.gpus} free)")
        return ", ".join(short)

    def to_json(self) -> dict[str, int]:
        return {
            "cpu_millis": self.cpu_millis,
            "memory_bytes": self.memory_bytes,
            "disk_bytes": self.disk_bytes,
            "gpus": self.gpus,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Resources:
        """Read the form of `to_json`. Raises InputRefused on anything else."""
        try:
            numbers = [raw[name] for name in ("cpu_millis", "memory_bytes", "disk_bytes", "gpus")]
        except (KeyError, TypeError):
            raise InputRefused("resources are incomplete", "give cpu_millis, memory_bytes, disk_bytes, gpus") from None
        if any(type(number) is not int for number in numbers):
            raise InputRefused("resources are not whole numbers", "give integers")
        return cls(*numbers)

    @classmethod
    def parse(cls, cpus: str, memory: str, gpus: int = 0, disk: str = "0") -> Resources:
        """Read what a person writes: ``1.5`` CPUs, ``2Gi`` memory."""
        try:
            millis = round(float(cpus) * 1000)
        except (ValueError, OverflowError):
            raise InputRefused(f"{cpus!r} is not a number of CPUs", "write it as 1 or 0.5") from None
        if millis <= 0:
            raise InputRefused(f"{cpus!r} is not a number of CPUs", "ask for more than zero")
        size = parse_bytes(memory)
        if size < 16 * 2**20:
            raise InputRefused(f"{memory!r} of memory is too little", "ask for at least 16Mi")
        return cls(millis, size, parse_bytes(disk), gpus)
