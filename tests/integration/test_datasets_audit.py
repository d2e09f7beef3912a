"""The audit of a real mount: by its folders, over the guest's reads, and by `shale verify PATH`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cars import Sample, pack_sample
from tests.tenants import docker, tiny_image

from shale.datasets import kernel
from shale.datasets.audit import ClaimedPiece, Command, Failure, Folders, Proven, audit
from shale.errors import Refused
from shale.paths import binary
from shale.units import Cid

OTHER = Cid("baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq")


@asynccontextmanager
async def mounted(sample: Sample, folder: Path, *, with_index: bool = True) -> AsyncIterator[Folders]:
    """The sample with its proofs, as a lease sees it."""
    view, ready = folder / "view", asyncio.Event()
    view.mkdir()
    if with_index:
        await kernel.index([sample.car], folder / "index")

    def report(event: Mapping[str, Any]) -> None:
        if event["event"] == "ready":
            ready.set()

    mounting = asyncio.create_task(
        kernel.mount(sample.car, view, sample.root, index=folder / "index", proofs=True, report=report)
    )
    try:
        async with asyncio.timeout(30):
            await asyncio.wait({mounting, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        assert not mounting.done()
        yield Folders(view / "data", view / "proofs")
    finally:
        mounting.cancel()
        await asyncio.gather(mounting, return_exceptions=True)


async def test_an_honest_mount_is_proven_by_its_folders_and_over_the_guest(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    commitment = await kernel.commp(sample.car)
    claimed = [ClaimedPiece(OTHER), ClaimedPiece(sample.piece, commitment.padded_size)]
    told: list[tuple[int, int]] = []
    async with mounted(sample, tmp_path) as folders:
        guest = Command((str(binary("shale-guest")), "read", str(folders.data), str(folders.proofs)))
        for reader in (folders, guest):
            found = await audit(sample.root, claimed, 40, reader, lambda done, total: told.append((done, total)))
            assert isinstance(found, Proven)
            assert (found.root, found.piece, found.leaves) == (sample.root, sample.piece, 40)
            assert found.size > 0
    assert told[-1] == (40, 40)


async def test_another_dataset_under_the_name_is_refused_with_its_place(tmp_path: Path) -> None:
    sample, other = await pack_sample(tmp_path), await pack_sample(tmp_path, 2)
    async with mounted(other, tmp_path) as folders:
        found = await audit(sample.root, [ClaimedPiece(sample.piece)], 8, folders)
        assert isinstance(found, Failure)
        assert str(found).startswith("proofs/piece.json: offset 0: the proof is of ")
        found = await audit(sample.root, [], 8, folders)
        assert isinstance(found, Failure)
        assert found.path == f"proofs/blocks/{sample.root}"


async def test_a_block_that_rots_on_the_disk_is_found_at_its_path_and_offset(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    data = bytearray(sample.car.read_bytes())
    async with mounted(sample, tmp_path) as folders:
        # Its first two leaves are one block.
        at = data.index(sample.files["train/images.bin"][:64])
        with sample.car.open("r+b") as car:
            car.seek(at + 5)
            car.write(bytes([data[at + 5] ^ 1]))
        found = await audit(sample.root, [ClaimedPiece(sample.piece)], 200, folders)
    assert isinstance(found, Failure)
    assert found.path == "train/images.bin"
    assert found.offset in (0, 1 << 20)
    assert "input/output error" in found.reason


async def test_verify_says_what_was_proven_and_fails_in_one_line(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    async with mounted(sample, tmp_path) as folders:

        async def verify(*more: str) -> subprocess.CompletedProcess[str]:
            words = ["verify", f"{folders.data}", "--proofs", f"{folders.proofs}", "--root", sample.root, *more]
            return await asyncio.to_thread(
                subprocess.run, [str(Path(sys.executable).with_name("shale")), *words], capture_output=True, text=True
            )

        done = await verify("--piece", sample.piece)
        assert done.returncode == 0, done.stderr
        assert f"{sample.piece} holds the root" in done.stdout
        done = await verify("--sample", "5", "--json")
        assert done.returncode == 0
        answer = json.loads(done.stdout)
        assert (answer["ok"], answer["piece"], answer["leaves"]) == (True, None, 5)
        done = await verify("--piece", OTHER)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("shale: error: proofs/piece.json: offset 0: ")
        assert "not what was ordered" in done.stderr
        assert done.stderr.count("\n") == 1
        done = await verify("--piece", OTHER, "--json")
        assert done.returncode == 1
        assert json.loads(done.stdout)["failure"]["path"] == "proofs/piece.json"


async def test_what_is_not_there_is_not_called_another_dataset(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    async with mounted(sample, tmp_path, with_index=False) as folders:
        words = ["verify", f"{folders.data}", "--proofs", f"{folders.proofs}", "--root", sample.root]
        words += ["--piece", sample.piece]
        shale = str(Path(sys.executable).with_name("shale"))
        done = await asyncio.to_thread(subprocess.run, [shale, *words], capture_output=True, text=True)
        assert done.returncode == 1
        assert "piece.json: offset 0: unreadable: no such file" in done.stderr
        assert "nothing is proven or disproven" in done.stderr
        assert "not what was ordered" not in done.stderr
        assert done.stderr.count("\n") == 1
        done = await asyncio.to_thread(subprocess.run, [shale, *words, "--json"], capture_output=True, text=True)
        assert json.loads(done.stdout)["failure"]["kind"] == "unread"


async def test_an_image_with_nothing_in_it_is_audited_by_what_every_container_has(tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    async with mounted(sample, tmp_path) as folders:
        with tiny_image() as image:
            shown = [
                f"{binary('shale-guest').parent}:/.shale/bin:ro",
                f"{folders.data}:/data:ro",
                f"{folders.proofs}:/.shale/dataset:ro",
            ]
            volumes = [word for volume in shown for word in ("--volume", volume)]
            guest = ("/.shale/bin/shale-guest", "read", "/data", "/.shale/dataset")
            words = ("docker", "run", "--rm", "--interactive", "--network", "none", *volumes, image, *guest)
            found = await audit(sample.root, [ClaimedPiece(sample.piece)], 20, Command(words))
            assert isinstance(found, Proven), found
            missing = Command((*words[:-1], "/nowhere"))
            with pytest.raises(Refused, match="/nowhere"):
                await audit(sample.root, [ClaimedPiece(sample.piece)], 20, missing)
    assert image not in docker("ps", "--all", "--format", "{{.Image}}")
