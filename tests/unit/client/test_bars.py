"""Bars: a narrow terminal shows what is being done, how far it is and until when, each whole and on one line."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from shale.client.cli.bars import made
from shale.provider.cli.reports import _bar

GIB = 1 << 30


@pytest.mark.parametrize("columns", [40, 59, 80, 120])
def test_a_bar_keeps_its_label_and_amount_on_any_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), width=columns)
    monkeypatch.setenv("COLUMNS", str(columns))
    for bar in (made("", screen), _bar()):
        bar.add_task("digits.car", total=1.5 * GIB, completed=GIB)
        with screen.capture() as capture:
            screen.print(bar.get_renderable())
        (line,) = capture.get().splitlines()
        assert "digits.car" in line
        assert "1.0/1.5 GiB" in line
        assert ("━" in line) == (columns >= 60)


def test_a_count_keeps_what_it_is_of_on_a_narrow_terminal() -> None:
    screen = Console(file=io.StringIO(), width=40)
    bar = made("contributions", screen)
    bar.add_task("checking", total=12, completed=7)
    with screen.capture() as capture:
        screen.print(bar.get_renderable())
    (line,) = capture.get().splitlines()
    assert " 7/12 contributions" in line
    assert "chec" in line
