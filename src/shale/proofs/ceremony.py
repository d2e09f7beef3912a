"""Ceremony: the steps that make keys for real money, each one run of the Go kernel (docs/guide/ceremony.md)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shale.errors import Refused, Unavailable
from shale.paths import binary
from shale.process import put_down

_GRACE = 5.0
_MAX_ANSWER = 4 << 20
_MAX_REASON = 500


async def init(folder: Path, size: int, powers: Path, published: str = "") -> dict[str, Any]:
    """Begin the ceremony of one size in a new folder; its transcript.

    `published` is the powers of tau file's BLAKE2b digest, as it was published: 128 hex digits, or empty.
    Raises Refused when the file is not what it says, or the folder has a ceremony."""
    also = ["--blake2b", published] if published else []
    return await _run("init", "--size", str(size), "--powers", str(powers), *also, folders=[folder])


async def contribute(folder: Path, name: str) -> dict[str, Any]:
    """Check the chain and add a contribution, whose secret is forgotten; its `name`, `at`, `file` and `sha256`."""
    return await _run("contribute", "--name", name, folders=[folder])


async def verify(folder: Path, powers: Path) -> dict[str, Any]:
    """Check all of it, as far as it has come; its transcript. Raises Refused with what is wrong."""
    return await _run("verify", "--powers", str(powers), folders=[folder])


async def finalise(folder: Path, powers: Path, beacon: str, source: str, out: Path) -> dict[str, Any]:
    """Close the chain with a beacon (hex, 16 to 256 bytes) and write the keys into `out`; the transcript."""
    return await _run(
        "finalise", "--powers", str(powers), "--beacon", beacon, "--source", source, "--out", str(out), folders=[folder]
    )


async def manifest(folders: Sequence[Path], keys: Path, out: Path) -> str:
    """Put the keys that the finalised ceremonies of all sizes made into the form that the kernel embeds.

    The hash that its source has to pin. Raises Refused for files in `keys` that the ceremonies didn't make, for a
    ceremony that is not finalised, broken in its chain or for another circuit, and for development keys. The powers
    and the beacon are for `verify`."""
    answer = await _run("manifest", "--keys", str(keys), "--out", str(out), folders=folders)
    return str(answer["keys_hash"])


async def _run(step: str, *options: str, folders: Sequence[Path]) -> dict[str, Any]:
    # A folder whose name begins with a dash is no option.
    arguments = ("ceremony", step, *options, "--", *(str(folder.absolute()) for folder in folders))
    process = await asyncio.create_subprocess_exec(
        binary("shale-kernel"),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            await asyncio.shield(put_down(process, _GRACE))
    if process.returncode != 0:
        raise Refused(_reason(errors, process.returncode or 0))
    try:
        answer = json.loads(output[:_MAX_ANSWER])
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise Unavailable(f"the kernel's answer to ceremony {step} is not JSON", "run make install again")
    return answer


def _reason(errors: bytes, status: int) -> str:
    lines = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
    if not lines:
        return f"shale-kernel ceremony ended with status {status}"
    line = "".join(char if char.isprintable() else "?" for char in lines[-1])
    return line.removeprefix("shale-kernel ceremony: ")[:_MAX_REASON]
