"""datasets: reading through the mount beside its peers' mounts; indexing, packing and committing."""

from __future__ import annotations

import hashlib
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import dag, mounts, reading
from tests.benchmarks.frame import Row, medians, row, timed
from tests.benchmarks.mounts import KERNEL

from shale.errors import Unavailable

MIB = 1024
CACHED = MIB * 33 // 32 << 20
"""What is read of a source before it is timed: the file, and what its form adds."""
RUNS = 3
RANDOM_RUNS = 7
READS = 4000
"""Reads of each reader at random places; a run of them is short, and a busy moment in it weighs much."""
BLOCKS, BLOCK = 1_000_000, 64
SOURCES = Path(__file__).parents[2] / "kernel"


def measure() -> list[Row]:
    # Not the memory's own file system: the same disk, and page cache, as a provider's.
    with tempfile.TemporaryDirectory(prefix="shale-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        (folder / "mnt").mkdir()
        (folder / "tree").mkdir()
        (folder / "tree" / "bulk").write_bytes(os.urandom(MIB << 20))
        packed = timed(lambda: _kernel("pack", folder / "tree", folder / "bulk.car"))
        rows = [*_sequential(folder), *_random(folder), *_pieces(folder, packed)]
    with tempfile.TemporaryDirectory(prefix="shale-bench-", dir="/var/tmp") as name:
        (Path(name) / "mnt").mkdir()
        return [*rows, *_indexes(Path(name)), *_memory(Path(name))]


def _sequential(folder: Path) -> list[Row]:
    raw, car, point = folder / "tree" / "bulk", folder / "bulk.car", folder / "mnt"
    tar, sector = folder / "bulk.tar", folder / "unsealed"
    subprocess.run(["tar", "-C", raw.parent, "-cf", tar, raw.name], check=True)
    fr32 = _kernel("pad", car, sector, "--sector-size", "32GiB").strip()

    def ours(source: str | Path, verify: str) -> float:
        reading.warm(sector if source == fr32 else car, CACHED)
        with mounts.shale(source, point, verify):
            return reading.sequential(point / raw.name)

    def again() -> float:
        with mounts.shale(car, point):
            reading.sequential(point / raw.name)
            return reading.sequential(point / raw.name)

    # As old in the cache as the mount's pages are: the second touch of a page costs more than the third.
    def plain_again() -> float:
        reading.forget(raw)
        reading.sequential(raw)
        return reading.sequential(raw)

    def plain_singly() -> float:
        reading.singly(raw)
        return reading.sequential(raw)

    def tarred() -> float:
        reading.warm(tar, CACHED)
        with mounts.ratarmount(tar, point):
            return reading.sequential(point / raw.name)

    def passed() -> float:
        reading.warm(raw, CACHED)
        with mounts.mfusepy(raw, point):
            return reading.sequential(point / raw.name)

    figures = medians(
        lambda: ours(car, "never"),
        tarred,
        lambda: ours(fr32, "never"),
        passed,
        lambda: ours(car, "first-touch"),
        lambda: ours(fr32, "first-touch"),
        lambda: reading.direct(raw),
        again,
        plain_again,
        plain_singly,
        runs=RUNS,
    )
    car_read, ratarmount, fr32_read, mfusepy, car_touched, fr32_touched, disk, reread, plain, singly = figures
    unit = "MiB/s"
    tarred_name, passed_name = "ratarmount, plain tar", "mfusepy, pread alone"
    disk_name = "the raw file by O_DIRECT"
    return [
        row("CAR, not verified", car_read, unit, peer=tarred_name, peer_value=ratarmount, times_at_least=1),
        row("CAR, not verified", car_read, unit, peer=passed_name, peer_value=mfusepy, times_at_least=1.3),
        row("sector, not verified", fr32_read, unit, peer=tarred_name, peer_value=ratarmount, times_at_least=1),
        row("sector, not verified", fr32_read, unit, peer=passed_name, peer_value=mfusepy, times_at_least=1.3),
        row("CAR, first touch, verified", car_touched, unit, peer=disk_name, peer_value=disk, times_at_least=0.35),
        row("sector, first touch, verified", fr32_touched, unit, peer=disk_name, peer_value=disk, times_at_least=0.35),
        row("read again", reread, unit, peer="the raw file, in single pages", peer_value=singly, times_at_least=0.6),
        row("read again", reread, unit, peer="the raw file, in large folios", peer_value=plain, times_at_least=0.6),
    ]


def _random(folder: Path) -> list[Row]:
    """After the first touch, with none of the file in the kernel's cache: each read is a request to the mount."""
    raw, car, point, beside = folder / "tree" / "bulk", folder / "bulk.car", folder / "mnt", folder / "beside"
    beside.mkdir()

    def asked(file: Path) -> float:
        reading.forget(file)
        reading.warm(raw if file.parent == beside else car, CACHED)
        return reading.at_random(file, READS)

    def asking(readers: int) -> float:
        reading.forget(point / raw.name)
        reading.warm(car, CACHED)
        return reading.at_once(point / raw.name, readers, READS)

    with mounts.shale(car, point), mounts.mfusepy(raw, beside):
        reading.sequential(point / raw.name)
        both = (lambda: asked(point / raw.name), lambda: asked(beside / raw.name))
        idle, other_idle = medians(*both, runs=RANDOM_RUNS)
        with reading.awake():
            awake, other_awake = medians(*both, runs=RANDOM_RUNS)
        four, one = medians(lambda: asking(4), lambda: asking(1), runs=RANDOM_RUNS)
    return [
        row(
            "random 4 KiB, median, processors kept awake",
            awake,
            "µs",
            peer="mfusepy, pread alone, kept awake",
            peer_value=other_awake,
            at_most=15,
        ),
        row(
            "random 4 KiB, median, processors left to idle",
            idle,
            "µs",
            peer="mfusepy, pread alone",
            peer_value=other_idle,
            at_most=15,
        ),
        row("four readers, random 4 KiB", four, "/s", peer="one reader", peer_value=one, times_at_least=1.5),
    ]


def _pieces(folder: Path, packed: float) -> list[Row]:
    raw, car = folder / "tree" / "bulk", folder / "bulk.car"
    commp, sha256, copied = medians(
        lambda: MIB / _cpu_seconds([KERNEL, "commp", str(car)]),
        lambda: MIB / _sha256_cpu_seconds(raw),
        lambda: MIB / timed(lambda: _copy(raw, folder / "copy")),
        runs=1,
    )
    ours, library = _commitments()
    unit, hashhash = "MiB/CPU-s", "go-fil-commp-hashhash"
    return [
        row("piece pack (CAR, CIDs, CommP)", MIB / packed, "MiB/s", peer="cp and fsync", peer_value=copied),
        row("CommP of a file", commp, unit, peer="sha256 by OpenSSL", peer_value=sha256),
        row("CommP, from memory, one core", ours, unit, peer=hashhash, peer_value=library, times_at_least=2.5),
    ]


def _indexes(folder: Path) -> list[Row]:
    """Sections and tree of CARs of 1 MiB leaves. The leaves are holes: an index reads headers and nodes."""
    spent = []
    for gib in (4, 32):
        car = folder / f"{gib}.car"
        dag.hollow(car, gib << 10)
        _kernel("ls", car)
        spent.append(medians(lambda car=car: timed(lambda: _kernel("ls", car)), runs=RUNS)[0])
    four, whole = spent
    return [row("index of a CAR of 32 GiB, warm", whole, "s", peer="of 4 GiB", peer_value=four, at_most=10)]


def _memory(folder: Path) -> list[Row]:
    """Of a mount all of which was read, in order and at random places."""
    car, point, index = folder / "blocks.car", folder / "mnt", folder / "blocks.index"
    dag.small_blocks(car, BLOCKS, BLOCK)
    _kernel("index", car, "--out", index)

    def resident(*options: str) -> float:
        with mounts.shale(car, point, "first-touch", *options) as process:
            (file,) = point.iterdir()
            reading.sequential(file)
            reading.forget(file)
            reading.at_once(file, 4, READS)
            found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
        assert found is not None, "no VmRSS in the status"
        return int(found[1]) / 1024

    value, anew = resident("--index", str(index)), resident()
    return [row("memory of a mount of 1 M blocks", value, "MiB", peer="no index stored", peer_value=anew, at_most=150)]


def _commitments() -> tuple[float, float]:
    """CommP by Shale and by Filecoin's library, in one process. One core: more of them slow the library down."""
    command = ["go", "test", "./piece/commp", "-run=^$", "-bench=^BenchmarkCommP$/^(shale|library)$"]
    command += ["-cpu=1", "-benchtime=4x", "-count=3"]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False, timeout=600)
    found = re.findall(r"^BenchmarkCommP/(\w+)\s.*?([\d.]+) MiB/CPU-s", done.stdout, re.MULTILINE)
    figures = {name: [float(rate) for each, rate in found if each == name] for name in ("shale", "library")}
    if done.returncode != 0 or not all(figures.values()):
        raise Unavailable(f"go test failed ({(done.stdout + done.stderr)[-200:].strip()})", "see the message")
    return statistics.median(figures["shale"]), statistics.median(figures["library"])


def _kernel(*words: str | Path) -> str:
    """Run a command of the kernel; what it says."""
    done = subprocess.run([KERNEL, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"shale-kernel {words[0]} failed ({done.stderr[-200:].strip()})", "see the message")
    return done.stdout


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
