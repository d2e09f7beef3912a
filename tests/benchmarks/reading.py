"""Reading a file as programs do: from end to end, past the page cache, at random places, by several at once."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path

from tests.benchmarks.frame import timed

CHUNK = 1 << 20
PAGE = 4096


def sequential(path: Path) -> float:
    """MiB/s of one reader from end to end, a MiB at a time."""
    size = path.stat().st_size
    return size / (1 << 20) / timed(lambda: _to_the_end(path, os.O_RDONLY, size))


def direct(path: Path) -> float:
    """MiB/s of the same from the disk, whatever the page cache holds."""
    size = path.stat().st_size
    return size / (1 << 20) / timed(lambda: _to_the_end(path, os.O_RDONLY | os.O_DIRECT, size))


def _to_the_end(path: Path, flags: int, size: int) -> None:
    total = 0
    file = os.open(path, flags)
    try:
        # Memory of its own pages, which O_DIRECT asks for.
        with mmap.mmap(-1, CHUNK) as buffer:
            while count := os.readv(file, [buffer]):
                total += count
    finally:
        os.close(file)
    assert total == size, f"{total} bytes read of {size}"


def warm(path: Path, size: int) -> None:
    """Bring the beginning of a file into the kernel's cache, which a busy or virtual machine may have dropped."""
    with path.open("rb", buffering=0) as file, mmap.mmap(-1, CHUNK) as buffer:
        while file.tell() < size and file.readinto(buffer):
            pass


def forget(path: Path) -> None:
    """Drop the pages of a file that nobody writes from the kernel's cache."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def singly(path: Path) -> None:
    """Bring a file into the kernel's cache in single pages, as all of FUSE's are, not in large folios."""
    forget(path)
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
        with mmap.mmap(-1, PAGE) as buffer:
            while os.readv(file, [buffer]):
                pass
    finally:
        os.close(file)


@contextmanager
def awake() -> Iterator[None]:
    """Keep the processors from idling, where Linux lets us (Documentation/power/pm_qos_interface).

    A virtual machine's idle processor takes 20 to 50 µs to wake: more than what is measured, whoever serves the file.
    """
    try:
        latency = os.open("/dev/cpu_dma_latency", os.O_WRONLY)
    except OSError:
        yield
        return
    try:
        os.write(latency, (0).to_bytes(4, "little"))
        yield
    finally:
        os.close(latency)


def at_random(path: Path, reads: int, seed: int = 0) -> float:
    """The median of reads of 4 KiB, in microseconds."""
    pages = path.stat().st_size // PAGE
    places = random.Random(seed)
    buffer = [bytearray(PAGE)]
    taken = []
    file = os.open(path, os.O_RDONLY)
    try:
        for _ in range(reads):
            place = places.randrange(pages) * PAGE
            began = time.perf_counter_ns()
            count = os.preadv(file, buffer, place)
            taken.append(time.perf_counter_ns() - began)
            assert count == PAGE, f"{count} bytes at {place}"
    finally:
        os.close(file)
    return statistics.median(taken) / 1000


def at_once(path: Path, readers: int, reads: int) -> float:
    """Reads of 4 KiB at random places in a second, by so many processes together."""
    fork = multiprocessing.get_context("fork")
    together = fork.Barrier(readers + 1)
    processes = [fork.Process(target=_reader, args=(path, reads, seed, together)) for seed in range(readers)]
    for process in processes:
        process.start()
    together.wait(60)
    began = time.perf_counter()
    for process in processes:
        process.join()
    spent = time.perf_counter() - began
    assert not any(process.exitcode for process in processes), "a reader failed"
    return readers * reads / spent


def _reader(path: Path, reads: int, seed: int, together: Barrier) -> None:
    together.wait(60)
    at_random(path, reads, seed=seed + 1)
