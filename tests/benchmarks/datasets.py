"""datasets: reading through the mount beside reading the raw file; packing and committing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.frame import Row, medians, row, timed

from shale.errors import Unavailable
from shale.paths import binary

MIB = 256
RUNS = 3
KERNEL = str(binary("shale-kernel"))
SOURCES = Path(__file__).parents[2] / "kernel"


def measure() -> list[Row]:
    # Not the memory's own file system: the same disk, and page cache, as a provider's.
    with tempfile.TemporaryDirectory(prefix="shale-bench-", dir="/var/tmp") as folder:
        tree, car, point = Path(folder, "tree"), Path(folder, "bulk.car"), Path(folder, "mnt")
        tree.mkdir()
        point.mkdir()
        raw = tree / "bulk"
        raw.write_bytes(os.urandom(MIB << 20))
        packed = timed(lambda: subprocess.run([KERNEL, "pack", tree, car], capture_output=True, check=True))

        def first(verify: str) -> float:
            with _mounted(car, point, verify):
                return MIB / timed(lambda: _read(point / "bulk"))

        def again() -> float:
            with _mounted(car, point, "first-touch"):
                _read(point / "bulk")
                return MIB / timed(lambda: _read(point / "bulk"))

        touched, unverified, reread, plain = medians(
            lambda: first("first-touch"),
            lambda: first("never"),
            again,
            lambda: MIB / timed(lambda: _read(raw)),
            runs=RUNS,
        )
        commp, sha256, copied = medians(
            lambda: MIB / _cpu_seconds([KERNEL, "commp", str(car)]),
            lambda: MIB / _sha256_cpu_seconds(raw),
            lambda: MIB / timed(lambda: _copy(raw, Path(folder, "copy"))),
            runs=RUNS,
        )
    ours, library = _commitments()
    raw_file = "the raw file, in the page cache"
    return [
        row("mount, first read, verified", touched, "MiB/s", peer=raw_file, peer_value=plain),
        row("mount, first read, not verified", unverified, "MiB/s", peer=raw_file, peer_value=plain),
        row("mount, read again", reread, "MiB/s", peer=raw_file, peer_value=plain),
        row("piece pack (CAR, CIDs, CommP)", MIB / packed, "MiB/s", peer="cp and fsync", peer_value=copied),
        row("CommP of a file", commp, "MiB/CPU-s", peer="sha256 by OpenSSL", peer_value=sha256),
        row(
            "CommP, from memory, one core",
            ours,
            "MiB/CPU-s",
            peer="go-fil-commp-hashhash",
            peer_value=library,
            at_least=round(2.5 * library, 1),
        ),
    ]


def _commitments() -> tuple[float, float]:
    """CommP by Shale and by Filecoin's library, in one process. One core: more of them slow the library down."""
    command = ["go", "test", "./piece/commp", "-run=^$", "-bench=^BenchmarkCommP$/^(shale|library)$"]
    command += ["-cpu=1", "-benchtime=4x", f"-count={RUNS}"]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False, timeout=600)
    found = re.findall(r"^BenchmarkCommP/(\w+)\s.*?([\d.]+) MiB/CPU-s", done.stdout, re.MULTILINE)
    figures = {name: [float(rate) for each, rate in found if each == name] for name in ("shale", "library")}
    if done.returncode != 0 or not all(figures.values()):
        raise Unavailable(f"go test failed ({(done.stdout + done.stderr)[-200:].strip()})", "see the message")
    return statistics.median(figures["shale"]), statistics.median(figures["library"])


@contextmanager
def _mounted(car: Path, point: Path, verify: str) -> Iterator[None]:
    """The kernel's own mount, as the provider's daemon starts it."""
    command = [KERNEL, "mount", "--source", str(car), "--dir", str(point), "--verify", verify]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None, "asked for a pipe"
        assert process.stderr is not None, "asked for a pipe"
        said = process.stdout.readline()
        if not said or json.loads(said).get("event") != "ready":
            raise Unavailable(f"the mount failed ({process.stderr.read().decode()[-200:]})", "see the message")
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def _read(path: Path) -> None:
    buffer = bytearray(1 << 20)
    total = 0
    with path.open("rb", buffering=0) as handle:
        while count := handle.readinto(buffer):
            total += count
    assert total == MIB << 20, f"{total} bytes read"


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(1 << 20):
            writer.write(chunk)
        os.fsync(writer.fileno())


def _cpu_seconds(command: Sequence[str]) -> float:
    """CPU time of a program, which other load on the machine changes little."""
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(command, stdout=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command[0]} failed"
    return usage.ru_utime + usage.ru_stime


def _sha256_cpu_seconds(path: Path) -> float:
    """CPU time of the plain hash that a piece's tree is made of, in blocks of 1 MiB."""
    began = time.process_time()
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return time.process_time() - began
