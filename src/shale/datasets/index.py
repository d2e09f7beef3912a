"""Index: whether the stored index of a dataset is whole, and of its sources as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shale.datasets.run import answer, source_text
from shale.errors import Refused
from shale.units import Cid


def mark_of(index: Path) -> tuple[int, int, int]:
    """What tells one file of an index from another without reading it. Raises OSError when there is none."""
    found = index.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


async def misfit(index: Path, root: Cid, sources: tuple[str, ...], stamps: Mapping[str, str]) -> str:
    """Why a mount can't use this index; empty: it can.

    All of the index is read, nothing of the sources: `stamps` says what those that are files are like (stamp.stamp).
    """
    try:
        record = await answer(["record", str(index.absolute())])
    except Refused as error:
        return error.message
    if record["root"] != root or [one["source"] for one in record["sources"]] != [source_text(one) for one in sources]:
        return "it is of another dataset"
    for source, one in zip(sources, record["sources"], strict=True):
        if source in stamps and one["stamp"] != f"file {stamps[source]}":
            return "it is of the source as it was before"
    return ""
