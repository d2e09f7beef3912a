"""The volume plugin protocol, as a Docker Engine speaks it and as nobody should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shale.datasets import driver
from shale.datasets.driver import VolumeDriver, holder_of, volume_of
from shale.datasets.holding import Holding
from shale.datasets.memory import MemoryVolumes
from shale.errors import InputRefused
from shale.units import Cid

ROOT, PIECE = Cid("bafyroot"), "baga6piece"


class Shelf:
    """One dataset, until it is taken away."""

    def __init__(self) -> None:
        self.holding: Holding | None = Holding(ROOT, ("/cars/one.car",))

    async def find(self, cid: str) -> Holding:
        if self.holding is None or cid not in (ROOT, PIECE):
            raise InputRefused(f"the dataset {cid} isn't here", "see the provider's datasets with shale ls")
        return self.holding

    async def roots(self) -> Sequence[Cid]:
        return [ROOT] if self.holding else []


class Engine:
    """Docker's side of the socket."""

    def __init__(self) -> None:
        self.shelf, self.volumes = Shelf(), MemoryVolumes()
        app = VolumeDriver(self.shelf, self.volumes).app()
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://plugin")

    async def ask(self, call: str, **body: Any) -> dict[str, Any]:
        answer = await self.http.post(f"/{call}", json=body)
        assert answer.headers["content-type"] == "application/vnd.docker.plugins.v1.1+json"
        raw: dict[str, Any] = answer.json()
        assert (answer.status_code == 200) == (not raw.get("Err"))
        assert "\n" not in raw["Err"]
        return raw


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine()
    yield engine
    await engine.http.aclose()


async def test_it_says_what_it_is(engine: Engine) -> None:
    assert (await engine.ask("Plugin.Activate"))["Implements"] == ["VolumeDriver"]
    assert (await engine.ask("VolumeDriver.Capabilities"))["Capabilities"] == {"Scope": "local"}


async def test_a_dataset_is_mounted_while_any_mount_has_it(engine: Engine) -> None:
    one = await engine.ask("VolumeDriver.Mount", Name=ROOT, ID="1")
    two = await engine.ask("VolumeDriver.Mount", Name=f"{PIECE}.mine", ID="2")
    assert one["Mountpoint"] == two["Mountpoint"] == f"/volumes/{ROOT}/data"
    proofs = await engine.ask("VolumeDriver.Mount", Name=f"{ROOT}.proofs.mine", ID="3")
    assert proofs["Mountpoint"] == f"/volumes/{ROOT}/proofs"
    for name, caller in ((ROOT, "1"), (f"{PIECE}.mine", "2"), (ROOT, "3"), (f"{ROOT}.proofs.mine", "2")):
        assert ROOT in engine.volumes.mounted
        await engine.ask("VolumeDriver.Unmount", Name=name, ID=caller)
    assert len(engine.volumes.mounted[ROOT].holders) == 1, "the right ID for another volume releases nothing"
    await engine.ask("VolumeDriver.Unmount", Name=f"{ROOT}.proofs.mine", ID="3")
    assert not engine.volumes.mounted


async def test_what_left_the_catalogue_can_still_be_unmounted(engine: Engine) -> None:
    await engine.ask("VolumeDriver.Mount", Name=ROOT, ID="1")
    engine.shelf.holding = None
    assert "isn't here" in (await engine.ask("VolumeDriver.Mount", Name=ROOT, ID="2"))["Err"]
    assert (await engine.ask("VolumeDriver.Unmount", Name=ROOT, ID="1"))["Err"] == ""
    assert not engine.volumes.mounted
    assert (await engine.ask("VolumeDriver.Unmount", Name=ROOT, ID="1"))["Err"] == "", "again is fine"


@pytest.mark.parametrize("name", [ROOT, f"{ROOT}.mine", f"{PIECE}.mine", f"{ROOT}.proofs.a1a1a1a1a1a1a1a1"])
async def test_what_is_mounted_is_a_volume_whatever_the_catalogue_says_of_it(engine: Engine, name: str) -> None:
    mounted = (await engine.ask("VolumeDriver.Mount", Name=name, ID="1"))["Mountpoint"]
    engine.shelf.holding = None  # faulty, removed, or its file is away
    # So an engine asks before it unmounts.
    got = (await engine.ask("VolumeDriver.Get", Name=name))["Volume"]
    assert (got["Name"], got["Mountpoint"]) == (name, mounted)
    assert (await engine.ask("VolumeDriver.Path", Name=name))["Mountpoint"] == mounted
    assert "isn't here" in (await engine.ask("VolumeDriver.Create", Name=name))["Err"]
    await engine.ask("VolumeDriver.Unmount", Name=name, ID="1")
    assert "isn't here" in (await engine.ask("VolumeDriver.Get", Name=name))["Err"]


async def test_the_catalogue_is_the_list(engine: Engine) -> None:
    assert (await engine.ask("VolumeDriver.List"))["Volumes"] == [{"Name": ROOT}]
    await engine.ask("VolumeDriver.Mount", Name=PIECE, ID="1")
    [listed] = (await engine.ask("VolumeDriver.List"))["Volumes"]
    assert listed == {"Name": ROOT, "Mountpoint": f"/volumes/{ROOT}/data"}
    got = (await engine.ask("VolumeDriver.Get", Name=f"{PIECE}.proofs"))["Volume"]
    assert (got["Name"], got["Mountpoint"]) == (f"{PIECE}.proofs", f"/volumes/{ROOT}/proofs")
    assert (await engine.ask("VolumeDriver.Path", Name=PIECE))["Mountpoint"] == f"/volumes/{ROOT}/data"


async def test_a_mount_that_hangs_is_given_up_in_time_and_says_whom_it_waited_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled = asyncio.Event()

    async def hang(holding: Holding, holder: str) -> Path:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    monkeypatch.setattr(driver, "MOUNT_SECONDS", 0.05)
    monkeypatch.setattr(engine.volumes, "hold", hang)
    engine.shelf.holding = Holding(ROOT, ("http://slow.example/piece/x?token=secret",))
    refused = (await engine.ask("VolumeDriver.Mount", Name=ROOT, ID="1"))["Err"]
    assert f"the dataset {ROOT} was not mounted within" in refused
    assert "check http://slow.example," in refused
    assert "secret" not in refused
    assert cancelled.is_set(), "what it took is released by the volumes"


def test_an_engine_has_its_answer_before_its_own_patience_ends() -> None:
    undoing = 3 * 10  # SIGTERM, SIGKILL and a lazy umount, each bounded in place.py
    assert driver.MOUNT_SECONDS + undoing < 120


async def test_an_error_names_the_whole_dataset(engine: Engine) -> None:
    longest = "b" + "a" * 127 + ".proofs." + "t" * 64
    assert longest in (await engine.ask("VolumeDriver.Get", Name=longest + "!"))["Err"]


async def test_making_only_checks_and_removing_does_nothing(engine: Engine) -> None:
    assert (await engine.ask("VolumeDriver.Create", Name=ROOT, Opts=None))["Err"] == ""
    assert "isn't here: see" in (await engine.ask("VolumeDriver.Create", Name="bafyother"))["Err"]
    refused = await engine.ask("VolumeDriver.Create", Name=ROOT, Opts={"size": "1\n\x1b[31mG"})
    assert "takes no options (size): leave" in refused["Err"]
    assert (await engine.ask("VolumeDriver.Remove", Name=ROOT))["Err"] == ""
    assert (await engine.ask("VolumeDriver.Get", Name=ROOT))["Err"] == ""


@pytest.mark.parametrize(
    "name", ["", "../etc", "a/b", "bafy.proofs.x.y", "bafy.PROOFS", "a b", "bafy\n", "x" * 129, None, 7, ["a"], {}]
)
async def test_what_is_no_name_of_a_dataset_is_refused(engine: Engine, name: object) -> None:
    for call in ("Create", "Mount", "Unmount", "Get", "Path"):
        assert "is not the name of a dataset" in (await engine.ask(f"VolumeDriver.{call}", Name=name, ID="1"))["Err"]


@pytest.mark.parametrize("caller", ["", None, 7, "a b", "x" * 129, "a:b"])
async def test_a_mount_without_a_sane_id_is_refused(engine: Engine, caller: object) -> None:
    assert "no ID" in (await engine.ask("VolumeDriver.Mount", Name=ROOT, ID=caller))["Err"]
    assert not engine.volumes.mounted


@pytest.mark.parametrize(
    ("raw", "word"),
    [(b"x", "not JSON"), (b"[]", "not a JSON object"), (b"[" * 60_000, "not JSON"), (b" " * 70_000, "too large")],
)
async def test_what_is_no_request_is_refused(engine: Engine, raw: bytes, word: str) -> None:
    answer = await engine.http.post("/VolumeDriver.Mount", content=raw)
    assert (answer.status_code, word in answer.json()["Err"]) == (500, True)
    assert (await engine.http.post("/VolumeDriver.Mount", content=b"null")).status_code == 500
    assert (await engine.http.post("/VolumeDriver.List", content=b"null")).status_code == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.from_regex(r"[A-Za-z0-9]{1,20}(\.proofs)?(\.[a-z0-9-]{1,9})?", fullmatch=True), st.text(max_size=9))
def test_a_holder_names_its_volume(volume: str, caller: str) -> None:
    if ":" not in caller:
        assert volume_of(holder_of(volume, caller)) == volume
    assert volume_of(f"lease:{volume}") is None
