"""Holding: a dataset as this machine has it: which sources hold its pieces, and where its index is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shale.units import Cid


@dataclass(frozen=True, slots=True)
class Holding:
    """A dataset that can be mounted. `sources` hold its pieces, in their order; see `run.source_text` for their form.

    `index` is where its index is kept (file → extents with multihash); None: it is made anew at each mount.
    """

    root: Cid
    sources: tuple[str, ...]
    index: Path | None = None
