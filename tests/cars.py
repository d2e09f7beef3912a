"""Small datasets for tests: folders of known files, packed by the real kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shale.datasets import kernel, sources
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


async def list_files(
    source: str | Path,
    root: Cid | None = None,
    *,
    also: Sequence[str | Path] = (),
    index: Path | None = None,
    timeout: float = 600.0,
) -> list[kernel.Listed]:
    """The files and symlinks of a dataset, by path."""
    found: list[kernel.Listed] = []
    await kernel.ls(source, found.extend, root, also=also, index=index, timeout=timeout)
    return [entry for entry in found if entry.type != "directory"]


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


async def padded(sample: Sample, sector: Path, at: str) -> sources.Padded:
    """The sample as a piece of a sector of 8 MiB."""
    return await sources.pad(sample.car, sector, "8MiB", at)


def sections(car: bytes) -> list[bytes]:
    """The header of a CARv1 and its sections, each whole."""
    parts = []
    at = 0
    while at < len(car):
        length = shift = 0
        begin = at
        while True:
            byte = car[at]
            at += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        at += length
        parts.append(car[begin:at])
    return parts


async def two_pieces(sample: Sample, folder: Path) -> tuple[Path, Path]:
    """One dataset over two CARs: its blocks dealt out, the root in the second."""
    header, *blocks = sections(sample.car.read_bytes())
    one, two = folder / "one.car", folder / "two.car"
    one.write_bytes(header + b"".join(blocks[0::2]))
    two.write_bytes(header + b"".join(blocks[1::2]))
    return one, two
