"""Plugins come in by one door, and none of them can stop the agent."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shale.clock import ManualClock
from shale.quality.hookspecs import Session, impl
from shale.quality.loader import GROUP, load_probes, plugin_manager, probes_of, run_probe
from shale.quality.probes.ssh_liveness import SshLiveness
from shale.quality.verdict import Status, Verdict

SESSION = Session("one", "shale-one", "shale-gateway-one", "192.0.2.1", 22, Path("/nowhere/config"))


class Ping:
    name = "ping"
    interval = 5.0
    timeout = 1.0

    def __init__(self, outcome: Any = None, **changes: Any) -> None:
        self.outcome = outcome
        vars(self).update(changes)

    async def run(self, session: Session) -> Any:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def plugin(given: Any) -> ModuleType:
    """A plugin module whose hook gives this, or raises it."""
    module = ModuleType("third_party")

    @impl
    def shale_probes() -> Any:
        if isinstance(given, Exception):
            raise given
        return given

    module.shale_probes = shale_probes  # type: ignore[attr-defined]
    return module


def probes_from(*modules: ModuleType) -> list[Any]:
    manager = plugin_manager()
    for number, module in enumerate(modules):
        manager.register(module, name=f"plugin-{number}")
    return list(probes_of(manager))


def test_the_built_in_probe_comes_in_by_the_entry_point_of_plugins() -> None:
    assert "ssh-liveness" in [probe.name for probe in load_probes()]


def test_the_probes_of_all_plugins_are_found() -> None:
    one, two, three = Ping(), Ping(name="two"), Ping(name="three")
    assert {probe.name for probe in probes_from(plugin([one, two]), plugin([three]))} == {"ping", "two", "three"}


@pytest.mark.parametrize(
    "given",
    [
        RuntimeError("broken"),
        None,
        ["not a probe"],
        [Ping(interval=0.0)],
        [Ping(timeout=0)],
        [Ping(name=None)],
        [Ping(interval=None)],
    ],
    ids=["raises", "gives none", "gives junk", "no interval", "no timeout", "no name", "interval of None"],
)
def test_a_plugin_that_breaks_is_left_out_and_the_others_stay(given: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "shale.quality"):
        assert [probe.name for probe in probes_from(plugin(given), plugin([Ping()]))] == ["ping"]
    assert "plugin-0" in caplog.text


def test_a_plugin_that_does_not_import_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    broken = EntryPoint("broken", "no.such.module", GROUP)
    ours = EntryPoint("ssh-liveness", "shale.quality.probes.ssh_liveness", GROUP)
    with caplog.at_level(logging.WARNING, "shale.quality"):
        assert [probe.name for probe in load_probes([broken, ours])] == ["ssh-liveness"]
    assert "broken is left out" in caplog.text


class TestRunning:
    async def run(self, probe: Any) -> Verdict:
        return await run_probe(probe, SESSION, ManualClock(1000))

    async def test_its_verdict_is_taken_under_its_own_name(self) -> None:
        lied = Verdict("another", Status.OK, "fine", 7, {"rtt_us": 3})
        assert await self.run(Ping(lied)) == Verdict("ping", Status.OK, "fine", 7, {"rtt_us": 3})

    async def test_an_exception_is_a_failed_verdict(self) -> None:
        verdict = await self.run(Ping(OSError("no route")))
        assert (verdict.status, verdict.detail, verdict.at) == (Status.FAIL, "OSError: no route", 1000)

    async def test_what_is_no_verdict_is_a_failed_one(self) -> None:
        assert (await self.run(Ping("fine"))).status is Status.FAIL

    async def test_a_probe_that_hangs_is_stopped_and_fails(self) -> None:
        class Hanging(Ping):
            timeout = 0.0

            async def run(self, session: Session) -> Any:
                await asyncio.Event().wait()

        assert (await self.run(Hanging())).detail == "no answer within 0 s"


class TestSshLiveness:
    """With a program named ssh that answers as the gateway's channel would."""

    def ssh(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> Path:
        program = tmp_path / "ssh"
        program.write_text(
            f'#!{sys.executable}\nimport sys\nopen("{tmp_path}/asked", "w").write(" ".join(sys.argv[1:]))\n{answer}\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path / "asked"

    async def test_a_server_that_speaks_is_alive_and_its_time_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = self.ssh(tmp_path, monkeypatch, 'print("SSH-2.0-Go", flush=True)\nsys.stdin.read()')
        verdict = await SshLiveness().run(SESSION)
        assert verdict.status is Status.OK
        assert verdict.measurements["rtt_us"] > 0
        assert asked.read_text() == "-F /nowhere/config -W 192.0.2.1:22 shale-gateway-one"

    @pytest.mark.parametrize("answer", ["", 'print("HTTP/1.1 400 Bad Request")', "sys.exit(255)"])
    async def test_a_silent_or_strange_server_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
    ) -> None:
        self.ssh(tmp_path, monkeypatch, answer)
        assert (await SshLiveness().run(SESSION)).status is Status.FAIL

    async def test_an_endless_banner_fails_and_leaves_no_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ssh(tmp_path, monkeypatch, 'print("x" * 100000, end="", flush=True)\nsys.stdin.read()')
        verdict = await run_probe(SshLiveness(), SESSION, ManualClock())
        assert verdict.status is Status.FAIL
        left = subprocess.run(["pgrep", "-f", str(tmp_path / "ssh")], capture_output=True, check=False)
        assert left.stdout == b""

    async def test_an_ipv6_address_is_put_in_brackets(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = self.ssh(tmp_path, monkeypatch, 'print("SSH-2.0-Go", flush=True)')
        await SshLiveness().run(Session("one", "a", "b", "2001:db8::1", 22, Path("/c")))
        assert "-W [2001:db8::1]:22" in asked.read_text()
