"""What the bar says while datasets are added: of each moment only what is true then."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from shale.provider.cli import reports
from shale.provider.cli.reports import Reports


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Bar:
    """Keeps what a bar shows."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, Any]] = []
        self.console = self

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def print(self, *line: Any, **how: Any) -> None: ...

    def add_task(self, description: str, total: int | None) -> int:
        self.shown.append((description, total))
        return 0

    def update(self, task: int, *, description: str, completed: int, total: int | None) -> None:
        self.shown.append((description, total))


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> Bar:
    bar = Bar()
    monkeypatch.setattr(reports, "_bar", lambda: bar)
    monkeypatch.setattr(reports, "sys", SimpleNamespace(stdout=Terminal(), stderr=Terminal()))
    return bar


@pytest.mark.parametrize(
    "result",
    [
        {"skipped": "http://a.example/piece/x", "why": "it doesn't answer"},
        {"added": "bafy", "copy": 0, "dataset": None},
        {"sound": "bafy", "copy": 0},
        {"faulty": "bafy", "copy": 0, "why": "offset 7"},
        {"unread": "bafy", "copy": 0, "why": "it doesn't answer"},
    ],
)
def test_what_was_waited_for_is_gone_from_the_screen_with_its_result(bar: Bar, result: dict[str, Any]) -> None:
    with Reports() as shown:
        list(shown.of([{"waiting": "http://a.example", "attempt": 3, "attempts": 3}]))
        assert bar.shown[-1][0] == "waiting for http://a.example: attempt 3 of 3"
        list(shown.of([result]))
        assert bar.shown[-1] == ("waiting for its turn", None)
