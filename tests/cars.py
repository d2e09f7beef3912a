"""Small datasets for tests: folders of known files, packed by the real kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shale.datasets import kernel
from shale.datasets.holding import Holding
from shale.units import Cid


@dataclass(frozen=True)
class Sample:
    """A packed folder: its CAR, root and piece, and every file's bytes by path."""

    car: Path
    root: Cid
    piece: Cid
    files: dict[str, bytes]

    @property
    def holding(self) -> Holding:
        """As a provider has it."""
        return Holding(self.root, (str(self.car),))


async def pack_sample(folder: Path, seed: int = 1) -> Sample:
    """Three files in two levels, one of them longer than a block; another `seed`, another root."""
    files = {
        "readme.txt": f"dataset {seed}\n".encode(),
        "train/labels.csv": b"a,b\n" * 100,
        "train/images.bin": bytes((seed + i * 31) % 251 for i in range(1 << 16)) * 40,
    }
    tree = folder / f"tree-{seed}"
    for path, data in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
    car = folder / f"sample-{seed}.car"
    packed = await kernel.pack(tree, car)
    return Sample(car, packed.root, packed.piece, files)
