"""`shale provider keys` with the real kernel's manifest and the development keys of size 1."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.key_server import KeyServer, key_server

from shale.client.cli.main import run
from shale.errors import ConfigError
from shale.paths import keys_dir
from shale.payments.batch import Leaf, Operation
from shale.proofs.kernel import KernelProver
from shale.proofs.prover import Circuit
from shale.provider.cli import keys as module
from shale.units import Address, LeaseId

SHALE = Path(sys.executable).with_name("shale")
SYSTEM, KEY = "window-1.r1cs", "window-1.unsafe-development.pk"


@pytest.fixture
def made() -> dict[str, bytes]:
    """The files of size 1 that make install has made."""
    return {name: (keys_dir() / name).read_bytes() for name in (SYSTEM, KEY)}


@pytest.fixture
def folder(tmp_path: Path, made: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHALE_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


@pytest.fixture
def server(made: dict[str, bytes]) -> Iterator[KeyServer]:
    with key_server() as plan:
        plan.files = dict(made)
        yield plan


def shale(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = run(["provider", "keys", *words])
    return status, *capsys.readouterr()


def test_a_fetched_key_is_one_that_the_kernel_proves_with(
    folder: Path, server: KeyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="run shale provider keys make --size 1"):
        asyncio.run(_prove(folder))
    status, out, err = shale(capsys, "fetch", server.url, "--size", "1")
    assert (status, err) == (0, "")
    assert asyncio.run(_prove(folder))
    assert out == f"fetched  {SYSTEM}  1.4 MiB\nfetched  {KEY}  4.2 MiB\n"
    assert "   1 leases     11,724 constraints  proven here\n" in shale(capsys, "list")[1]
    assert shale(capsys, "fetch", server.url, "--size", "1")[1] == f"nothing to fetch: all of it is sound in {folder}\n"


def test_fetch_answers_in_json(
    folder: Path, server: KeyServer, made: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    (folder / SYSTEM).write_bytes(made[SYSTEM])
    status, out, err = shale(capsys, "fetch", server.url + "?token=secret", "--size", "1", "--json")
    done: dict[str, Any] = json.loads(out)
    assert (status, err, done["folder"], done["source"]) == (0, "", str(folder), server.url)
    assert [(file["name"], file["size"]) for file in done["fetched"]] == [(KEY, len(made[KEY]))]
    assert [file["name"] for file in done["had"]] == [SYSTEM]
    assert len(done["had"][0]["sha256"]) == 64
    server.files[KEY] = b"another"
    (folder / KEY).unlink()
    status, out, _ = shale(capsys, "fetch", server.url, "--size", "1", "--json")
    assert (status, json.loads(out)["error"]["code"]) == (1, "refused")


def test_trouble_is_one_line(folder: Path, server: KeyServer, capsys: pytest.CaptureFixture[str]) -> None:
    del server.files[KEY]
    assert shale(capsys, "fetch", server.url, "--size", "1")[2] == (
        f"shale: error: {server.url} has no {KEY}: name with --size the sizes that it has, or another source\n"
    )
    assert shale(capsys, "fetch", server.url, "--size", "7")[2] == (
        "shale: error: there is no circuit of size 7: give 1, 8, 64 or 256\n"
    )
    assert os.listdir(folder) == [SYSTEM]


def test_check_says_what_is_good_missing_and_damaged(
    folder: Path, made: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    for name, content in made.items():
        (folder / name).write_bytes(content)
    status, out, _ = shale(capsys, "check")
    assert status == 0
    assert out.splitlines()[0] == "   1 leases  good"
    assert out.splitlines()[1] == "   8 leases  missing window-8.r1cs, missing window-8.unsafe-development.pk"
    (folder / KEY).write_bytes(made[KEY][:-1])
    status, out, _ = shale(capsys, "check", "--size", "1")
    assert (status, out.splitlines()[0]) == (1, f"   1 leases  damaged {KEY}")
    status, out, _ = shale(capsys, "check", "--size", "8", "--size", "1", "--json")
    sizes = json.loads(out)["sizes"]
    assert status == 1
    assert [(size["size"], size["state"]) for size in sizes] == [(1, "damaged"), (8, "missing")]
    assert {file["name"]: file["state"] for file in sizes[0]["files"]} == {SYSTEM: "good", KEY: "damaged"}


def test_keys_of_a_ceremony_are_pointed_to_fetch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    circuit = replace(asyncio.run(_circuit()), unsafe_development=False)
    monkeypatch.setattr(module, "_circuit", lambda: circuit)
    assert shale(capsys, "make", "--size", "8")[2] == (
        "shale: error: these keys are of a ceremony: they are fetched, not made: "
        "shale provider keys fetch SOURCE --size 8\n"
    )
    out = shale(capsys, "list")[1]
    assert out.endswith("no key: shale provider keys fetch SOURCE --size 256\n")
    assert "make" not in out


async def _prove(folder: Path) -> bool:
    prover = KernelProver(folder)
    try:
        leaf = Leaf(2, LeaseId("0x" + "01" * 31), (await prover.keygen()).public)
        domain = await prover.domain(31415926, Address("0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"))
        return await prover.check_proof(await prover.prove(domain, 1, 2, [], [Operation(leaf, True, False, None)]))
    finally:
        await prover.close()


async def _circuit() -> Circuit:
    prover = KernelProver()
    try:
        return await prover.circuit()
    finally:
        await prover.close()


async def test_a_killed_fetch_leaves_nothing_in_a_keys_place_and_is_resumed(
    folder: Path, server: KeyServer, made: dict[str, bytes]
) -> None:
    server.held, half = threading.Event(), len(made[KEY]) // 2
    server.cuts = [None, half]
    words = [SHALE, "provider", "keys", "fetch", server.url, "--size", "1"]
    process = await asyncio.create_subprocess_exec(*words)
    async with asyncio.timeout(60):
        while not (parts := list(folder.glob(f".{KEY}.*.part"))) or parts[0].stat().st_size < half:
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert sorted(os.listdir(folder)) == sorted([parts[0].name, SYSTEM])
    server.held.set()
    again = await asyncio.create_subprocess_exec(*words)
    assert await asyncio.wait_for(again.wait(), 60) == 0
    assert server.asked[-1] == (KEY, f"bytes={half}-")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == made


async def test_a_terminal_shows_how_far_it_is_at_which_rate(
    folder: Path, server: KeyServer, made: dict[str, bytes]
) -> None:
    server.held, server.cuts = threading.Event(), [1 << 20]
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "120"}
    words = [SHALE, "provider", "keys", "fetch", server.url, "--size", "1"]
    process = await asyncio.create_subprocess_exec(*words, stderr=theirs, env=environment)
    os.close(theirs)
    told = b""
    try:
        async with asyncio.timeout(60):
            while b"1.0/1.4 MiB" not in told:
                told += await asyncio.to_thread(os.read, ours, 1 << 16)
        assert SYSTEM.encode() in told
        assert b"/s" in told
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        assert [path.stat().st_size for path in folder.iterdir()] == [1 << 20], "it stays to be resumed"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
