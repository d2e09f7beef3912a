"""What a person may type that no command can take: one line, which is true and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from shale.client.cli.main import run

NO_TEXT = "/tmp/\udcff"
"""As Python has the argument $'/tmp/\\xff'."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHALE_HOME", str(tmp_path))


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(list(words)) != 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


@pytest.mark.parametrize(
    "words",
    [
        ["provider", "datasets", "add", NO_TEXT],
        ["provider", "datasets", "check", NO_TEXT],
        ["provider", "datasets", "remove", NO_TEXT],
        ["provider", "datasets", "add", "--name", NO_TEXT, "/tmp/a.car"],
    ],
)
def test_an_argument_that_is_no_text_is_not_blamed_on_the_daemon(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "an argument is not UTF-8" in said(capsys, *words)


def test_words_that_are_no_text_are_refused_before_anybody_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert "that can't be searched for" in said(capsys, "datasets", "--", NO_TEXT)


def test_a_second_dataset_of_a_lease_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line = said(capsys, "up", "--dataset", "bafya:/data", "--dataset", "bafyb:/big")
    assert line == (
        "shale: error: a lease has one dataset: give --dataset once, and rent another container for the other\n"
    )
