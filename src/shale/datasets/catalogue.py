"""Catalogue: what a dataset holds, as an offer lists it."""

from __future__ import annotations

from collections.abc import Iterable

from shale.datasets.kernel import Listed
from shale.errors import InputRefused
from shale.market.offer import MAX_ENTRIES, Dataset, Entry
from shale.units import Cid

_MAX_NAME = 128
_MAX_PATH = 256


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
