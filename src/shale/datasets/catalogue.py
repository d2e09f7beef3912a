"""Catalogue: what a CAR holds, as the dataset that an offer lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from shale.datasets import kernel
from shale.datasets.car import read_root
from shale.datasets.kernel import Listed
from shale.datasets.run import Progress
from shale.errors import InputRefused, Refused
from shale.market.offer import MAX_ENTRIES, Dataset, Entry, Piece
from shale.units import Cid

_MAX_NAME = 128
_MAX_PATH = 256


async def read_car(path: Path, name: str, progress: Progress | None = None) -> Dataset:
    """The dataset in a CAR: listed, and the whole file committed to. Raises Refused with the reason."""
    if not path.is_absolute():
        raise InputRefused(f"{str(path)[:200]!r} is not an absolute path", "give the whole path of the CAR")
    if not path.is_file():
        raise Refused(f"{path} is not a file", "give the path of a CAR")
    check_name(name)
    root = read_root(path)
    listing = await kernel.ls(path, root)
    commitment = await kernel.commp(path, progress)
    described = describe(name, root, commitment.v1, listing)
    return replace(described, pieces=(Piece(commitment.v1, commitment.padded_size),))


def check_name(name: str) -> None:
    """Raises InputRefused unless it can name a dataset in an offer."""
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise InputRefused("that cannot name a dataset", f"give 1 to {_MAX_NAME} printable characters")


def describe(name: str, root: Cid, piece: Cid, listing: Iterable[Listed]) -> Dataset:
    """The dataset with its sums and its top entries; of more than an offer may list, the smallest are left out."""
    sums: dict[str, tuple[int, int]] = {}
    for file in listing:
        top, slash, _ = file.path.partition("/")
        label = top + slash or name  # a dataset may be one bare file, whose path is empty
        files, size = sums.get(label, (0, 0))
        sums[label] = (files + 1, size + file.size)
    entries = [Entry(_shown(label), files, size) for label, (files, size) in sums.items()]
    largest = sorted(entries, key=lambda entry: -entry.size)[:MAX_ENTRIES]
    return Dataset(
        name=name,
        root=root,
        piece=piece,
        size=sum(entry.size for entry in entries),
        files=sum(entry.files for entry in entries),
        entries=tuple(sorted(largest, key=lambda entry: entry.path)),
    )


def _shown(path: str) -> str:
    """The name as an offer may carry it: its writer is whoever made the piece."""
    plain = "".join(char if char.isprintable() else "?" for char in path)
    return plain if len(plain) <= _MAX_PATH else plain[: _MAX_PATH - 1] + "…"
