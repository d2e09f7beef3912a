"""A volume driver as a process of its own, as the provider's daemon serves it: killed and started again by tests."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from shale.datasets.driver import VolumeDriver
from shale.datasets.driver_socket import driver_socket
from shale.datasets.fuse import FuseVolumes
from shale.datasets.holding import Holding
from shale.errors import InputRefused
from shale.provider.daemon import served
from shale.units import Cid


class Catalogue:
    """Datasets by root and by piece; one whose file is away can't be offered."""

    def __init__(self, datasets: Mapping[str, Holding]) -> None:
        self._datasets = datasets

    async def find(self, cid: str) -> Holding:
        if cid not in self._datasets or not Path(self._datasets[cid].sources[0]).exists():
            raise InputRefused(f"the dataset {cid} isn't here", "see the provider's datasets with shale ls")
        return self._datasets[cid]

    async def roots(self) -> Sequence[Cid]:
        return sorted({holding.root for holding in self._datasets.values()})


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(name: str, folder: str, datasets: str) -> None:
    """Serve until killed. `datasets` is JSON: CID → [root, source]. Says `ready`, then each fault, a line each."""
    held = {cid: Holding(Cid(root), (source,)) for cid, (root, source) in json.loads(datasets).items()}
    volumes = FuseVolumes(Path(folder))
    volumes.on_fault = lambda fault: say(f"{fault.kind}: {fault}")
    await volumes.holders()
    with driver_socket(name) as listener:
        async with served(VolumeDriver(Catalogue(held), volumes).app(), listener):
            say("ready")
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
