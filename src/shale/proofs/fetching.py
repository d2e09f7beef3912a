"""Fetching: proving keys from a source that is not trusted into the keys' folder: bounded, resumed, checked by hash."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shale.clock import Clock
from shale.errors import ConfigError, Refused, Unavailable
from shale.proofs.key_files import Part, State, reserved, state_of
from shale.proofs.key_sources import Broken, KeySource
from shale.proofs.prover import Circuit, CircuitSize, KeyFile
from shale.units import format_bytes

ATTEMPTS = 5
"""In a row that bring the file less than a MiB further each."""
SLOWEST = 16 << 10
"""Bytes a second, over a minute: a server that is slower is asked again."""
_AHEAD = 1 << 20
_MINUTE = 60.0
_MAX_PAUSE = 8.0
_OTHER = "use another source"


class Watch(Protocol):
    """Who looks on."""

    def moved(self, name: str, done: int, total: int | None) -> None:
        """So many bytes of a file are there, or have been read, of so many, where that is known."""
        ...

    def again(self, place: str, attempt: int) -> None:
        """The source broke off; it is asked again, for the attempt of that number, of `ATTEMPTS`."""
        ...

    def fetched(self, file: KeyFile, size: int) -> None:
        """The file is in its place, checked."""
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch came to: the files that it brought, with their sizes in bytes, and those that were good already."""

    brought: tuple[tuple[KeyFile, int], ...]
    had: tuple[KeyFile, ...]


def chosen(circuit: Circuit, sizes: Sequence[int]) -> list[CircuitSize]:
    """Those sizes of the circuit, ascending; all if none is given. Raises Refused for one that it hasn't."""
    there = sorted(size.size for size in circuit.sizes)
    for size in sizes:
        if size not in there:
            named = f"{', '.join(map(str, there[:-1]))} or {there[-1]}"
            raise Refused(f"there is no circuit of size {size}", f"give {named}")
    return sorted((size for size in circuit.sizes if not sizes or size.size in sizes), key=lambda size: size.size)


async def fetch(
    source: KeySource, circuit: Circuit, sizes: Sequence[int], folder: Path, watch: Watch, clock: Clock
) -> Fetched:
    """Bring the files of these sizes (all if none is given) that are missing or damaged.

    A file is in its place whole, with the digest that the circuit's manifest names, or not at all. What broke off
    stays in a temporary file, for the next fetch to resume. Raises Refused when the source hasn't got a file or what it
    sends is another, Unavailable when it doesn't answer or goes on breaking off, and ConfigError for the disk's faults.
    """
    wanted = [file for size in chosen(circuit, sizes) for file in size.files]
    brought: list[tuple[KeyFile, int]] = []
    had: list[KeyFile] = []
    with reserved(folder, circuit.sizes):
        for file in wanted:
            if state_of(folder, file, watch.moved) is State.GOOD:
                Part(folder, file).discard()
                had.append(file)
                continue
            size = await _bring(source, file, folder, watch, clock)
            watch.fetched(file, size)
            brought.append((file, size))
    return Fetched(tuple(brought), tuple(had))


async def _bring(source: KeySource, file: KeyFile, folder: Path, watch: Watch, clock: Clock) -> int:
    """Bring one file; its size."""
    with Part(folder, file) as part:
        try:
            await _fill(source, file, folder, part, watch, clock)
            if part.sha256 != file.sha256 and part.joined:
                # The source may have another file since, or this disk have damaged what was there.
                part.clear()
                await _fill(source, file, folder, part, watch, clock)
        except Refused:
            part.discard()
            raise
        if part.sha256 != file.sha256:
            part.discard()
            raise Refused(
                f"{file.name} of {source.place} is another file: SHA-256 {file.sha256} was expected, got {part.sha256}",
                _OTHER,
            )
        part.keep()
        return part.size


async def _fill(source: KeySource, file: KeyFile, folder: Path, part: Part, watch: Watch, clock: Clock) -> None:
    """Go on to the file's end, over any number of transfers that break off, as long as they bring it further."""
    failures, furthest = 0, part.size
    while part.sha256 != file.sha256:
        try:
            await _transfer(source, file, folder, part, watch, clock)
            return
        except Broken as error:
            failures = 0 if part.size >= furthest + _AHEAD else failures + 1
            furthest = max(furthest, part.size)
            if failures >= ATTEMPTS:
                kept = f"{format_bytes(part.size)} of {file.name} stay for the next fetch" if part.size else error.hint
                raise Unavailable(f"{error.message}, {ATTEMPTS} times", kept) from None
        watch.again(source.place, failures + 1)
        await clock.sleep_until(clock.steady() + min(_MAX_PAUSE, 0.5 * 2**failures))


async def _transfer(source: KeySource, file: KeyFile, folder: Path, part: Part, watch: Watch, clock: Clock) -> None:
    pace = _Pace(source.place, clock)
    async with source.open(file.name, part.size) as body:
        if body.start != part.size:
            part.clear()
        part.joined = part.joined or part.size > 0
        most = file.most if body.total is None else body.total
        if most > file.most:
            raise Refused(
                f"{source.place} says that {file.name} has {most} bytes, at most {file.most} are possible", _OTHER
            )
        if body.total is not None:
            _room(folder, file, body.total - part.size)
        watch.moved(file.name, part.size, body.total)
        async for chunk in body.chunks:
            if part.size + len(chunk) > most:
                why = "at most so many are possible" if body.total is None else "which is all that it said it has"
                raise Refused(f"{source.place} sends more than {most} bytes of {file.name}, {why}", _OTHER)
            part.write(chunk)
            watch.moved(file.name, part.size, body.total)
            pace.brought(len(chunk))
        if body.total is not None and part.size < body.total:
            raise Broken(f"{source.place} breaks off in {file.name}", "check the source")


def _room(folder: Path, file: KeyFile, more: int) -> None:
    free = shutil.disk_usage(folder).free
    if more > free:
        raise ConfigError(
            f"{file.name} needs {format_bytes(more)} more, {folder} has {format_bytes(free)} free",
            "make room, or name another folder in SHALE_KEYS",
        )


class _Pace:
    """Whether a source that goes on sending is worth waiting for: one byte now and then would take years."""

    def __init__(self, place: str, clock: Clock) -> None:
        self._place, self._clock = place, clock
        self._since, self._bytes = clock.steady(), 0

    def brought(self, count: int) -> None:
        self._bytes += count
        seconds = self._clock.steady() - self._since
        if seconds < _MINUTE:
            return
        if self._bytes < SLOWEST * seconds:
            raise Broken(f"{self._place} sends less than {format_bytes(SLOWEST)} a second", _OTHER)
        self._since, self._bytes = self._clock.steady(), 0
