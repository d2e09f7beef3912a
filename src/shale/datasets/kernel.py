"""The kernel's piece commands as typed calls: pack, commp, ls, cat."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shale.datasets.progress import report_reads
from shale.errors import Refused, Unavailable
from shale.paths import binary
from shale.process import send
from shale.units import Cid

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and their expected total."""

_MAX_OUTPUT = 256 << 20
"""Of a listing: a piece may hold millions of files, and its author is not the provider."""
_MAX_ERRORS = 1 << 16
_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Packed:
    """A directory as a CAR: its root, and the commitments to the piece (FRC-0058 v1, FRC-0069 v2)."""

    root: Cid
    piece: Cid
    piece_v2: Cid
    raw_size: int
    padded_size: int
    files: int


@dataclass(frozen=True, slots=True)
class Commitment:
    """The commitments to a file as a piece, its size in bytes, and padded."""

    v1: Cid
    v2: Cid
    raw_size: int
    padded_size: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A file (or symlink) of a dataset; `path` is relative to its root."""

    path: str
    type: str
    size: int
    cid: Cid


async def pack(folder: Path, out: Path, progress: Progress | None = None) -> Packed:
    """Write `folder` as a CAR, in one step, the same bytes each time. Raises Refused with the kernel's reason."""
    total = await asyncio.to_thread(_size_below, folder) if progress else 0
    raw = await _json(["pack", _plain(folder), _plain(out), "--json"], progress, total)
    return Packed(
        Cid(raw["root"]),
        Cid(raw["piece_cid"]),
        Cid(raw["piece_cid_v2"]),
        int(raw["raw_size"]),
        int(raw["padded_size"]),
        int(raw["files"]),
    )


async def commp(file: Path, progress: Progress | None = None) -> Commitment:
    """Commit to a file as a piece. Raises Refused with the kernel's reason."""
    total = file.stat().st_size if progress and file.is_file() else 0
    raw = await _json(["commp", _plain(file), "--json"], progress, total)
    return Commitment(Cid(raw["v1"]), Cid(raw["v2"]), int(raw["raw_size"]), int(raw["padded_size"]))


async def ls(source: Path, root: Cid | None = None, *, timeout: float = 600.0) -> tuple[Listed, ...]:
    """Every file of the dataset in a CAR, by path. Raises Refused, naming the offset, for a CAR that is broken."""
    arguments = ["ls", _plain(source), "--json"] + (["--root", root] if root else [])
    try:
        async with asyncio.timeout(timeout):
            raw = await _json(arguments)
    except TimeoutError:
        raise Unavailable(f"listing {source} took over {timeout:g} s", "try again") from None
    return tuple(Listed(str(e["path"]), str(e["type"]), int(e["size"]), Cid(e["cid"])) for e in raw)


async def cat(source: Path, path: str, root: Cid | None = None, *, out: int = 1) -> None:
    """Write a file of the dataset to the descriptor `out`, each block verified before any of it is written."""
    arguments = ["cat", _plain(source), *(["--root", root] if root else []), "--", path]
    await _run(arguments, out=out, fine=(0, -signal.SIGPIPE))  # a reader such as head may have enough


async def _json(arguments: Sequence[str], progress: Progress | None = None, total: int = 0) -> Any:
    output = await _run(arguments, progress=progress, total=total)
    try:
        return json.loads(output)
    except (ValueError, RecursionError):
        raise Unavailable(f"the kernel's answer to {arguments[0]} is not JSON", "run make install again") from None


async def _run(
    arguments: Sequence[str],
    *,
    out: int = asyncio.subprocess.PIPE,
    progress: Progress | None = None,
    total: int = 0,
    fine: Sequence[int] = (0,),
) -> bytes:
    process = await asyncio.create_subprocess_exec(
        binary("shale-kernel"),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=out,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.TaskGroup() as group:
            errors = group.create_task(_read(process.stderr, _MAX_ERRORS))
            output = group.create_task(_read(process.stdout, _MAX_OUTPUT))
            reporter = group.create_task(report_reads(process.pid, total, progress))
            await process.wait()
            reporter.cancel()
    finally:
        if process.returncode is None:
            await asyncio.shield(_end(process))
    if process.returncode not in fine:
        raise Refused(_reason(arguments[0], errors.result(), process.returncode or 0))
    if output.result() is None:
        raise Refused(f"the answer to {arguments[0]} is over {_MAX_OUTPUT >> 20} MiB", "the dataset has too many files")
    return output.result() or b""


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let it clear up its half-written file, but not for long."""
    send(process, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _GRACE)
    except TimeoutError:
        send(process, signal.SIGKILL)
        await process.wait()


async def _read(stream: asyncio.StreamReader | None, limit: int) -> bytes | None:
    """All of the stream, read to its end; None if that is more than `limit`."""
    if stream is None:
        return b""
    kept = bytearray()
    whole = True
    while chunk := await stream.read(1 << 16):
        whole = whole and len(kept) + len(chunk) <= limit
        if whole:
            kept += chunk
    return bytes(kept) if whole else None


def _reason(command: str, errors: bytes | None, status: int) -> str:
    lines = (errors or b"").decode(errors="replace").strip().splitlines()
    if not lines:
        return f"shale-kernel {command} ended with status {status}"
    line = "".join(char if char.isprintable() else "?" for char in lines[-1])
    return line.removeprefix(f"shale-kernel {command}: ")[:500]


def _plain(path: Path) -> str:
    """The absolute path, which no option parser takes for an option."""
    return str(path.absolute())


def _size_below(folder: Path) -> int:
    """The bytes of the plain files below a folder, as far as they can be seen."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(base) / name).lstat().st_size
    return total
