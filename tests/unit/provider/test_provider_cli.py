"""The provider's commands: what they wait for is seen, and what went wrong is said once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shale.client.cli.progress import Progress
from shale.errors import Refused
from shale.paths import Home
from shale.provider import daemon
from shale.provider.cli import datasets as module
from shale.provider.cli import settle as settling
from shale.provider.cli.main import group
from shale.provider.cli.reports import told
from shale.provider.config import ProviderConfig, save_config

SILENT = "http://slow.example takes requests but doesn't answer: 3 attempts, 10 s each"


def add(monkeypatch: pytest.MonkeyPatch, lines: list[dict[str, Any]], *words: str) -> Result:
    def follow(path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from lines

    monkeypatch.setattr(module, "follow", follow)
    return CliRunner().invoke(group, ["datasets", "add", "http://slow.example/piece/x", *words])


def test_what_is_waited_for_is_shown_while_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = add(
        monkeypatch,
        [
            {"waiting": "the Lotus node", "seconds": 5},
            {"waiting": "http://slow.example", "attempt": 2, "attempts": 3},
            {"skipped": "http://slow.example/piece/x", "why": SILENT},
        ],
    )
    assert shown.stderr.splitlines() == [
        "waiting  for the Lotus node: 5 s",
        "waiting  for http://slow.example: attempt 2 of 3",
        f"left out http://slow.example/piece/x: {SILENT}",
    ]


@pytest.mark.parametrize("source", ["/cars/a.car", "park:/cars/a.car"])
def test_a_reason_that_names_the_source_is_not_said_twice(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    shown = add(monkeypatch, [{"skipped": source, "why": "/cars/a.car is not there"}])
    assert shown.stderr == "left out /cars/a.car is not there\n"
    assert isinstance(shown.exception, Refused)
    assert "is not there" not in str(shown.exception), "it has just been shown"


def test_what_was_left_out_is_one_line_that_says_what_to_do_whatever_the_file_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left_out = {"skipped": "/cars/new\nline.car", "why": "that cannot name a dataset", "hint": "give it a \x1b[31mname"}
    shown = add(monkeypatch, [{"reading": "/cars/new\nline.car", "done": 1, "total": 2}, left_out])
    assert shown.stderr == "left out /cars/new?line.car: that cannot name a dataset: give it a ?[31mname\n"
    shown = add(monkeypatch, [left_out, left_out | {"skipped": "/b"}, {"added": "bafy", "dataset": {"x": 1}}], "--json")
    assert json.loads(shown.stdout)["skipped"][0]["hint"] == left_out["hint"]


def test_what_a_check_found_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told({"faulty": "bafy", "copy": 1, "why": "it is cut", "hint": "bring it back"}) == (
        "faulty   bafy copy 1: it is cut: bring it back", False
    )  # fmt: skip
    assert told({"unread": "bafy", "copy": 0, "why": "it is silent", "hint": "wait"})[0] == (
        "unread   bafy: it is silent: wait"
    )


def test_with_json_the_error_alone_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = add(monkeypatch, [{"skipped": "/cars/a.car", "why": "/cars/a.car is not there"}], "--json")
    assert (shown.stdout, shown.stderr) == ("", "")
    assert str(shown.exception).startswith("nothing was added: /cars/a.car is not there:")


@pytest.mark.parametrize("as_json", [False, True])
def test_the_steps_of_a_start_are_shown_as_they_happen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.setenv("SHALE_HOME", str(tmp_path))
    save_config(Home.default(), ProviderConfig())
    password = tmp_path / "password"
    password.write_text("secret")

    async def serve(home: Home, config: ProviderConfig, password: str, ready: object, step: Any) -> None:
        step("asking the Docker Engine")

    monkeypatch.setattr(daemon, "serve", serve)
    words = ["up", "--password-file", str(password), *(["--json"] if as_json else [])]
    shown = CliRunner().invoke(group, words)
    assert shown.exception is None, shown.exception
    assert shown.stdout == ""
    expected = [] if as_json else ["loading the provider …", "asking the Docker Engine …"]
    assert shown.stderr.splitlines() == expected


def test_a_step_of_a_lease_that_waits_says_for_what(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.report("dataset", "started", "bafyroot")
        progress.report("dataset", "started", "waiting for http://slow.example, 5 s")
        progress.report("dataset", "done", "digits at /data")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["waiting", "done"]
    assert "waiting for http://slow.example, 5 s" in lines[0]


@pytest.mark.parametrize("unclaimed", [[], [{"lease_id": "0xab", "unclaimed_attofil": "5", "why": "no top-up"}]])
def test_what_a_settlement_could_not_claim_is_named_and_makes_the_exit_status_1(
    monkeypatch: pytest.MonkeyPatch, unclaimed: list[dict[str, Any]]
) -> None:
    def follow(path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"settled": [], "unclaimed": unclaimed}

    monkeypatch.setattr(settling, "follow", follow)
    shown = CliRunner().invoke(group, ["settle", "--now"])
    assert (shown.exit_code, "could not be claimed: no top-up" in shown.stdout) == (len(unclaimed), bool(unclaimed))
    assert ("nothing to settle" in shown.stdout) is not bool(unclaimed)
    shown = CliRunner().invoke(group, ["settle", "--now", "--json"])
    assert (shown.exit_code, json.loads(shown.stdout)) == (len(unclaimed), unclaimed)
